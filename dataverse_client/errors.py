"""Errors of the client: one class for each way a caller can react.

    DataverseError
      DataverseUnavailableError    try again later (is_transient)
      ThrottledError               try again after retry_after seconds (is_transient)
      AuthenticationError          the app registration or its secret is wrong
      AccessDeniedError            the application user lacks a privilege
      NotFoundError                no such row
      ConcurrencyConflictError     somebody changed the row: read it again
      DuplicateRecordError         a row with this id or key exists
      ChangesExpiredError          the delta link is too old: read all rows again
      PluginRefusedError           a plug-in refused the operation; the message is the plug-in's
      InvalidRequestError          the request can never succeed as it is
      UnexpectedResponseError      what answered does not behave like Dataverse

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class DataverseError(Exception):
    """A request to Dataverse failed.

    ``message`` is Dataverse's own text; ``str(error)`` adds the request, the status and the request id that
    Microsoft's support asks for. ``code`` is the unsigned 32-bit error code. ``is_repeat`` says that an earlier
    attempt of the same request may have taken effect before this answer came.
    """

    is_transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        status: int | None = None,
        request: str | None = None,
        request_id: str | None = None,
        operation_status: int | None = None,
        sub_error_code: int | None = None,
        is_repeat: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request = request
        self.request_id = request_id
        self.operation_status = operation_status
        self.sub_error_code = sub_error_code
        self.is_repeat = is_repeat

    def __str__(self) -> str:
        facts = [
            f"HTTP {self.status}" if self.status else "",
            f"code 0x{self.code:08x}" if self.code is not None else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        prefix = f"{self.request}: " if self.request else ""
        suffix = ", ".join(filter(None, facts))
        return f"{prefix}{self.message}" + (f" ({suffix})" if suffix else "")


class DataverseUnavailableError(DataverseError):
    """Dataverse, the token endpoint, the network or a synchronous step's endpoint did not answer, or not in time."""

    is_transient = True


class ThrottledError(DataverseError):
    """A service protection limit was reached. ``retry_after`` is in seconds, None when Dataverse named none."""

    is_transient = True

    def __init__(self, message: str, *, retry_after: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after


class AuthenticationError(DataverseError):
    """No token could be obtained, or Dataverse did not accept it."""


class AccessDeniedError(DataverseError):
    """The application user's security roles do not allow this."""


class NotFoundError(DataverseError):
    """There is no row with this id or alternate key."""


class ConcurrencyConflictError(DataverseError):
    """The row is no longer the version that was read."""


class DuplicateRecordError(DataverseError):
    """A row with this id or alternate key exists, or a duplicate detection rule found one."""


class ChangesExpiredError(DataverseError):
    """Dataverse no longer knows what changed since that delta link: read all rows again."""


class PluginRefusedError(DataverseError):
    """A plug-in refused the operation; ``message`` is the plug-in's."""

    @property
    def asks_for_retry(self) -> bool:
        """Whether the plug-in says that the same request can succeed later, by ``OperationStatus.Retry``.

        Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus
        """
        return self.operation_status == 2


class InvalidRequestError(DataverseError):
    """The request can never succeed as it is: an unknown column, a value of the wrong type, a missing key."""


class UnexpectedResponseError(DataverseError):
    """Dataverse failed in a way it does not document, or something else answered in its place."""


#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
_BY_CODE: dict[int, type[DataverseError]] = {
    0x80072321: ThrottledError,
    0x80072322: ThrottledError,
    0x80072326: ThrottledError,
    0x80044151: DataverseUnavailableError,  # SQL timeout
    0x80050202: DataverseUnavailableError,  # a synchronous step's webhook did not answer in time
    0x80050205: DataverseUnavailableError,  # it could not be reached
    0x80040217: NotFoundError,
    0x80060891: NotFoundError,  # by alternate key
    0x80060882: ConcurrencyConflictError,
    0x80040237: DuplicateRecordError,
    0x80060892: DuplicateRecordError,  # alternate key
    0x80040333: DuplicateRecordError,  # duplicate detection rule
    0x80044352: ChangesExpiredError,
    0x80040265: PluginRefusedError,
    0x80040224: PluginRefusedError,  # a plug-in crashed instead of refusing
    0x80040220: AccessDeniedError,
    0x80048405: AccessDeniedError,
    0x80040256: AccessDeniedError,
    0x8004A110: AccessDeniedError,  # may not act on behalf of another user
    0x8004F507: AccessDeniedError,  # column security
}

_BY_STATUS: dict[int, type[DataverseError]] = {
    401: AuthenticationError,
    403: AccessDeniedError,
    404: NotFoundError,
    408: DataverseUnavailableError,
    412: ConcurrencyConflictError,
    429: ThrottledError,
    502: DataverseUnavailableError,
    503: DataverseUnavailableError,
    504: DataverseUnavailableError,
}

_OPERATION_STATUS = "@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"
_SUB_ERROR_CODE = "@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"
_REQUEST_ID_HEADERS = ("x-ms-service-request-id", "req_id", "x-ms-request-id", "x-ms-client-request-id")


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    """The ``error`` member of an answer, as far as it was there."""

    message: str = ""
    code: int | None = None
    operation_status: int | None = None
    sub_error_code: int | None = None


def error_from(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    request: str,
    retry_after: float | None = None,
    is_repeat: bool = False,
) -> DataverseError:
    """The error for an answer with a status of 300 or more.

    ``request`` is the method and path the answer belongs to; ``headers`` have lower-case names.
    """
    error = _read_body(body)
    kind = _kind(status, error)
    facts: dict[str, Any] = {"retry_after": retry_after} if kind is ThrottledError else {}
    return kind(
        error.message or f"Dataverse answered with {_describe(body, headers)} instead of an error message",
        code=error.code,
        status=status,
        request=request,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None),
        operation_status=error.operation_status,
        sub_error_code=error.sub_error_code,
        is_repeat=is_repeat,
        **facts,
    )


def _kind(status: int, error: _ErrorBody) -> type[DataverseError]:
    by_code = _BY_CODE.get(error.code) if error.code is not None else None
    if by_code is not None:
        return by_code
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return InvalidRequestError
    # A gateway's page carries no error code: Dataverse itself was not reached.
    return DataverseUnavailableError if status >= 500 and not error.message else UnexpectedResponseError


def _read_body(body: bytes) -> _ErrorBody:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _ErrorBody()
    if not isinstance(answer, dict):
        return _ErrorBody()
    error = answer.get("error")
    if not isinstance(error, dict):
        return _ErrorBody(str(answer.get("message") or answer.get("Message") or ""))
    return _ErrorBody(
        str(error.get("message") or ""),
        _unsigned(_integer(error.get("code"))),
        _integer(error.get(_OPERATION_STATUS)),
        _integer(error.get(_SUB_ERROR_CODE)),
    )


def _integer(value: Any) -> int | None:
    """Dataverse writes codes as "0x80040265" in any case, and as decimal text."""
    try:
        return int(str(value), 0)
    except ValueError:
        return None


def _unsigned(code: int | None) -> int | None:
    return None if code is None else code & 0xFFFFFFFF


def _describe(body: bytes, headers: Mapping[str, str]) -> str:
    if not body:
        return "an empty body"
    return f"{len(body)} bytes of {headers.get('content-type') or 'unnamed content'}"
