"""What the embedded Dataverse answers when it refuses, with the platform's own codes.

    OrganizationServiceFault
      ObjectDoesNotExist            0x80040217
      ConcurrencyVersionMismatch    0x80060882
      DuplicateRecord               0x80040237
      ...

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
"""

from __future__ import annotations


class OrganizationServiceFault(Exception):
    """A request was refused. ``code`` is the unsigned 32-bit error code, ``message`` is for people."""

    code = 0x80040216
    http_status = 400

    def __init__(self, message: str, *, code: int | None = None, http_status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if http_status is not None:
            self.http_status = http_status
