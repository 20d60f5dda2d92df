"""The errors that plug-ins cause, by refusing, failing, taking too long or nesting too deeply.

    OrganizationServiceFault
      PluginFault                                          a plug-in ended with an exception
        IsvAborted                        0x80040265  400  it refused, in its own words
        IsvUnExpected                     0x80040224  500  it failed otherwise
          SandboxWorkerPluginExecuteTimeout  0x80081111    it did not end in time
          SandboxWorkerNotAvailable          0x8004418d    its process crashed
      SdkCorrelationTokenDepthTooHigh     0x80044182  400  plug-ins call each other endlessly
      TransactionNotStarted               0x80040251  400  a plug-in continued after a failed call
      ConcurrencyVersionNotProvided       0x80060883  400

Source: https://learn.microsoft.com/power-apps/developer/data-platform/handle-exceptions
"""

from __future__ import annotations

from azure_bridge.redaction import redact
from runner.emulator.errors import OrganizationServiceFault
from runner.execution.deadline import StepTimeoutError
from runner.execution.execution import Execution
from runner.execution.failures import ProcessDiedError
from runner.execution.host import text_of
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus


class PluginFault(OrganizationServiceFault):
    """A plug-in ended with an exception. The attributes identify the plug-in, for the Web API's error details."""

    operation_status = OperationStatus.FAILED
    sub_error_code = 0
    step_id = ""
    step_name = ""
    plugin = ""
    trace_text = ""


class IsvAborted(PluginFault):
    """A plug-in raised InvalidPluginExecutionException. ``message`` is the plug-in's, for the user."""

    code = 0x80040265
    http_status = 400


class IsvUnExpected(PluginFault):
    """A plug-in raised any other exception, which is a bug in it or in its environment."""

    code = 0x80040224
    http_status = 500


class SandboxWorkerPluginExecuteTimeout(IsvUnExpected):
    """A plug-in did not end within its step's timeout."""

    code = 0x80081111


class SandboxWorkerNotAvailable(IsvUnExpected):
    """A plug-in's own process ended before the plug-in did.

    Source: https://learn.microsoft.com/troubleshoot/power-platform/dataverse/dataverse-plug-ins-errors
    """

    code = 0x8004418D


class SdkCorrelationTokenDepthTooHigh(OrganizationServiceFault):
    """Plug-ins and the requests they cause are nested more than eight deep.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth
    """

    code = 0x80044182
    http_status = 400

    @classmethod
    def of(cls, message: str, entity: str, limit: int) -> SdkCorrelationTokenDepthTooHigh:
        return cls(
            "This workflow job was canceled because the workflow that started it included an infinite loop. Correct "
            f"the workflow logic and try again. ({message} of {entity} would nest plug-ins more than {limit} deep: let "
            "the step's filtering attributes leave out the columns it writes itself, or compare before it writes.)"
        )


class TransactionNotStarted(OrganizationServiceFault):
    """A plug-in continued after a failed call had rolled back the transaction.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/troubleshoot-plug-in
    """

    code = 0x80040251
    http_status = 400

    def __init__(
        self,
        message: str = "There is no active transaction. This error is usually caused by custom plug-ins that ignore "
        "errors from service calls and continue processing.",
    ) -> None:
        super().__init__(message)

    @classmethod
    def after(cls, step: Step) -> TransactionNotStarted:
        """The error for a step that continued."""
        hint = f"Look at step {step.name!r} ({step.plugin_name}): let the exception pass, or raise your own."
        return cls(f"{cls().message} {hint}")


class ConcurrencyVersionNotProvided(OrganizationServiceFault):
    """A request with IfRowVersionMatches has no row version."""

    code = 0x80060883
    http_status = 400

    def __init__(
        self,
        message: str = "The RowVersion property must be provided when the value of ConcurrencyBehavior is "
        "IfRowVersionMatches.",
    ) -> None:
        super().__init__(message)


def fault_of(execution: Execution) -> OrganizationServiceFault:
    """The fault of a request whose execution failed.

    A fault that the platform raised in the plug-in's requests keeps its code and message.
    """
    error, step = execution.error, execution.step
    if isinstance(error, OrganizationServiceFault):
        return error
    fault = _aborted(error) if isinstance(error, InvalidPluginExecutionException) else _unexpected(error, step)
    fault.step_id, fault.step_name, fault.plugin = step.id, step.name, step.plugin_name
    fault.trace_text = "\n".join(execution.lines)
    return fault


def _aborted(error: InvalidPluginExecutionException) -> PluginFault:
    fault = IsvAborted(redact(text_of(error.message)) or "ISV code aborted the operation.")
    fault.operation_status, fault.sub_error_code = error.status, error.error_code
    return fault


def _unexpected(error: Exception | None, step: Step) -> PluginFault:
    if isinstance(error, ProcessDiedError):
        return SandboxWorkerNotAvailable(
            "The plug-in execution failed because the Sandbox Worker process crashed. This is typically due to an "
            f"error in the plug-in code. Step {step.name!r}: {text_of(error)}"
        )
    kind = SandboxWorkerPluginExecuteTimeout if isinstance(error, StepTimeoutError) else IsvUnExpected
    return kind(
        f"An unexpected error occurred from ISV code. Step {step.name!r} ({step.plugin_name}) raised "
        f"{redact(f'{type(error).__name__}: {text_of(error)}')}"
    )
