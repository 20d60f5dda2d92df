"""What a handler gets: the request, its user and the environment.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/optional-parameters
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from dataverse_client.types import Entity, EntityReference, OrganizationRequest
from runner.emulator.emulator import Emulator
from runner.emulator.metadata.model import Table
from runner.emulator.query.odata_binding import Binder
from runner.emulator.query.viewpoint import Viewpoint
from runner.emulator.webapi import encoding
from runner.emulator.webapi.http import Address, Preferences, Request, Response
from runner.emulator.webapi.payload import PayloadReader
from runner.emulator.webapi.schema import Schema

_SUPPRESS_DETECTION = "mscrm.suppressduplicatedetection"
_DETECTING = frozenset({"Create", "Update", "Upsert"})

JSON_CONTENT_TYPE = "application/json; odata.metadata=minimal"


@dataclass(slots=True)
class Exchange:
    """A request with its address, user and environment. Handlers get the segments of its path separately."""

    emulator: Emulator
    schema: Schema
    request: Request
    address: Address
    parameters: Mapping[str, str]
    preferences: Preferences
    user_id: str
    bypass: Any = None
    #: The user who signed in, if the request is made as another user.
    authenticated_user_id: str | None = None

    def execute(self, message: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Execute a message as the user. Returns its output parameters; raises OrganizationServiceFault."""
        suppressed = self.request.header(_SUPPRESS_DETECTION)
        if suppressed is not None and message in _DETECTING:
            parameters["SuppressDuplicateDetection"] = suppressed.lower() == "true"
        request = OrganizationRequest(message, parameters)
        tag = self.parameters.get("tag")
        return self.emulator.execute(
            request,
            user_id=self.user_id,
            tag=tag,
            bypass=self.bypass,
            authenticated_user_id=self.authenticated_user_id,
            user_agent=self.request.header("user-agent") or "",
        ).results

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction around several messages. In a change set, there is one already."""
        return self.emulator.transaction() if self.request.references is None else nullcontext()

    def retrieve(self, reference: EntityReference, columns: tuple[str, ...] | None) -> Entity:
        row: Entity = self.execute("Retrieve", Target=reference, ColumnSet=columns)["BusinessEntity"]
        return row

    def resolve(self, reference: EntityReference) -> EntityReference:
        """A reference to the same row by id. Raises RecordNotFoundByEntityKey when no row has that alternate key."""
        if not reference.key_attributes:
            return reference
        primary_id = self.schema.table(reference.logical_name).primary_id_attribute
        row = self.retrieve(reference, (primary_id,))
        return EntityReference(reference.logical_name, row.id or "", row_version=row.row_version)

    def reader(self) -> PayloadReader:
        return PayloadReader(self.schema, self.resolve, self.request.references or {})

    def binder(self, table: Table) -> Binder:
        return Binder(self.schema.metadata, table, self.viewpoint())

    def viewpoint(self) -> Viewpoint:
        """What the relative conditions of a query of this request refer to."""
        return Viewpoint(self.emulator.clock.now(), self.user_id, self.emulator.organization.business_unit_id)

    def context(self, fragment: str) -> str:
        """The ``@odata.context`` of a response."""
        return f"{self.address.root}/$metadata#{fragment}"


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"Content-Type": JSON_CONTENT_TYPE, **(headers or {})}, encoding.dumps(body))


def text_response(text: str) -> Response:
    return Response(200, {"Content-Type": "text/plain"}, text.encode())


NO_CONTENT = Response(204)
