"""How a plug-in refuses an operation."""

from __future__ import annotations

from enum import IntEnum


class OperationStatus(IntEnum):
    """What becomes of the operation a plug-in refuses.

    ``RETRY`` makes Dataverse run an asynchronous step again, four times in all; ``SUSPENDED`` makes its job wait until
    somebody resumes it.
    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus
    """

    FAILED = 0
    CANCELED = 1
    RETRY = 2
    SUSPENDED = 3
    SUCCEEDED = 4


class InvalidPluginExecutionException(Exception):
    """Refuses the operation, in words meant for the person at the form.

    Everything in the transaction is undone. The Web API answers 400 with code 0x80040265 and ``message``;
    ``error_code`` travels as its SubErrorCode.
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/handle-exceptions
    """

    # Trace logs and tracebacks name it as plug-ins import it.
    __module__ = "runner.plugin"

    def __init__(
        self,
        message: str = "",
        *,
        status: OperationStatus = OperationStatus.FAILED,
        error_code: int = 0,
    ) -> None:
        # Plug-ins pass on other exceptions, or None: what counts is their text.
        self.message = "" if message is None else str(message)
        super().__init__(self.message)
        self.status = status
        self.error_code = error_code
