"""The errors of the Web API itself, and the body of an error response.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.plugin_faults import PluginFault


class BadRequest(OrganizationServiceFault):
    """The request is malformed."""

    code = 0x80060888
    http_status = 400


_ODATA = "Microsoft.OData.ODataException"
_PAYLOAD_HELP = "https://go.microsoft.com/fwlink/?linkid=2195293"


class InvalidPayload(BadRequest):
    """The body has a property that the table does not have, or a value of another type.

    Clients take the cause from the message after ``InnerException : ``.
    Source: https://learn.microsoft.com/troubleshoot/power-platform/dataverse/web-api-service/web-api-client-errors
    """

    code = 0x80048D19

    @classmethod
    def of(cls, entity_set: str, problem: str, exception: str = _ODATA) -> InvalidPayload:
        return cls(
            f"Error identified in Payload provided by the user for Entity :'{entity_set}', For more information on "
            f"this error please follow this help link {_PAYLOAD_HELP}  ---->  InnerException : {exception}: {problem}"
        )

    @classmethod
    def undeclared(cls, entity_set: str, type_name: str, name: str) -> InvalidPayload:
        problem = (
            f"Invalid property '{name}' was found in entity '{type_name}'. ---> {_ODATA}: The property '{name}' does "
            f"not exist on type '{type_name}'. Make sure to only use property names that are defined by the type."
        )
        return cls.of(entity_set, problem, "Microsoft.Crm.CrmException")

    @classmethod
    def undeclared_bind(cls, entity_set: str, name: str) -> InvalidPayload:
        return cls.of(
            entity_set,
            f"An undeclared property '{name}' which only has property annotations in the payload but no property value "
            "was found in the payload. In OData, only declared navigation properties and declared named streams can be "
            "represented as properties without values.",
        )


class ResourceNotFound(BadRequest):
    """The URL names a resource that does not exist."""

    code = 0x8006088A
    http_status = 404

    @classmethod
    def at(cls, segment: str) -> ResourceNotFound:
        return cls(f"Resource not found for the segment '{segment}'.")

    @classmethod
    def by_method(cls, url: str) -> ResourceNotFound:
        """The error for a function called with POST, or an action called with GET."""
        return cls(f"No HTTP resource was found that matches the request URI '{url}'.", code=0)


class MethodNotAllowed(BadRequest):
    """The resource does not support this HTTP method."""

    http_status = 405

    @classmethod
    def of(cls, method: str, path: str) -> MethodNotAllowed:
        return cls(f"The requested resource does not support http method '{method}': {path}")


class NotImplementedHere(BadRequest):
    """A feature of Dataverse that the embedded Dataverse does not have."""

    code = 0x80040315
    http_status = 501


class ReferencedComponent(OrganizationServiceFault):
    """The table or column cannot be deleted, because steps or their images use it.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
    """

    code = 0x8004F01F
    http_status = 400

    @classmethod
    def of(cls, kind: str, id: str, dependents: int) -> ReferencedComponent:
        return cls(
            f"The {kind}({id}) component cannot be deleted because it is referenced by {dependents} other components. "
            "For a list of referenced components, use the RetrieveDependenciesForDeleteRequest."
        )


class ChangeTrackingNotEnabled(OrganizationServiceFault):
    """Change tracking is not enabled for the table."""

    code = 0x80072491
    http_status = 400


class ExpiredVersionStamp(OrganizationServiceFault):
    """The delta token is older than the changes that the organization keeps. A full synchronization is needed."""

    code = 0x80044352
    http_status = 400

    def __init__(self) -> None:
        super().__init__("Version stamp associated with the client has expired. Please perform a full sync.")


class Forbidden(OrganizationServiceFault):
    """The caller may not act as another user."""

    code = 0x8004A110
    http_status = 403


_CDS = "Microsoft.PowerApps.CDS."
_HELP = "http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a"


def error_body(fault: OrganizationServiceFault, wants: Callable[[str], bool]) -> dict[str, Any]:
    """The ``error`` object of a fault, with the annotations that the client asked for."""
    error: dict[str, Any] = {"code": f"0x{fault.code:08x}" if fault.code else "", "message": fault.message}
    details = _details(fault).items()
    return {"error": error | {f"@{_CDS}{name}": value for name, value in details if wants(f"{_CDS}{name}")}}


def _details(fault: OrganizationServiceFault) -> dict[str, str]:
    """The annotations of a fault: those of every fault, and those of a plug-in's."""
    common = {"HelpLink": f"{_HELP}{fault.code:08x}", "InnerError.Message": fault.message}
    if not isinstance(fault, PluginFault):
        return common
    return {
        "ErrorDetails.OperationStatus": str(int(fault.operation_status)),
        "ErrorDetails.SubErrorCode": str(fault.sub_error_code),
        **common,
        "TraceText": _trace_text(fault),
    }


def _trace_text(fault: PluginFault) -> str:
    """The plug-in's trace under a heading with the plug-in and its step, as in Dataverse.

    Source: https://learn.microsoft.com/troubleshoot/power-platform/dataverse/dataverse-plug-ins-errors
    """
    module, _, name = fault.plugin.partition(":")
    lines = fault.trace_text.replace("\n", "\r\n")
    return f"\r\n[{module}: {module}.{name}]\r\n[{fault.step_id}: {fault.step_name}]\r\n\r\n{lines}"
