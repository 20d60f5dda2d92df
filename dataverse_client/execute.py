"""Runs an OrganizationRequest: a message about rows through the client's methods, any other as a function or action.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dataverse_client.errors import InvalidRequestError
from dataverse_client.messages import is_function
from dataverse_client.types import OrganizationRequest

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient


def execute(client: DataverseClient, request: OrganizationRequest) -> Mapping[str, Any]:
    """The results of ``request``.

    A message that is not about rows is called as an unbound function if its name looks like one (``Retrieve...``),
    otherwise as an action. Where that guess is wrong, call ``client.function`` or ``client.action`` instead.

    Raises:
      InvalidRequestError: a parameter the message needs is missing, or asks for what the Web API does not do.
    """
    results = _on_rows(client, request.message_name, _Parameters(request))
    if results is not None:
        return results
    call = client.function if is_function(request.message_name) else client.action
    return call(request.message_name, request.parameters)


class _Parameters(dict[str, Any]):
    """A message's parameters; reading a missing one raises an InvalidRequestError that names it."""

    def __init__(self, request: OrganizationRequest) -> None:
        super().__init__(request.parameters)
        self._message_name = request.message_name

    def __missing__(self, name: str) -> Any:
        raise InvalidRequestError(f"{self._message_name} needs the parameter {name}")


def _on_rows(client: DataverseClient, message: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match message:
        case "Create":
            return {"id": client.create(given["Target"])}
        case "Update":
            client.update(given["Target"])
        case "Upsert":
            result = client.upsert(given["Target"])
            return {"RecordCreated": result.created, "Target": result.reference}
        case "Delete":
            client.delete(given["Target"].logical_name, given["Target"].id)
        case "Retrieve":
            target = given["Target"]
            if given.get("RelatedEntitiesQuery"):
                raise InvalidRequestError("Retrieve brings no related rows here: ask for them with retrieve_multiple")
            return {"Entity": client.retrieve(target.logical_name, target.id, given.get("ColumnSet"))}
        case "RetrieveMultiple":
            return {"EntityCollection": client.retrieve_multiple(given["Query"])}
        case "CreateMultiple":
            return {"Ids": client.create_multiple(list(given["Targets"]))}
        case "Associate" | "Disassociate":
            link = client.associate if message == "Associate" else client.disassociate
            target = given["Target"]
            link(target.logical_name, target.id, given["Relationship"], given["RelatedEntities"])
        case _:
            return None
    return {}
