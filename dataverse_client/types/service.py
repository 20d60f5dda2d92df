"""Messages, and the service that executes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dataverse_client.types.entity import Entity, EntityCollection
from dataverse_client.types.query import QueryExpression
from dataverse_client.types.values import EntityReference


@dataclass(frozen=True, slots=True)
class OrganizationRequest:
    """A message and its parameters: ``OrganizationRequest("Create", {"Target": entity})``."""

    message_name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrganizationResponse:
    """The results of a message, by name."""

    message_name: str
    results: Mapping[str, Any] = field(default_factory=dict)


class OrganizationService(Protocol):
    """``IOrganizationService``: what ``context.organization`` offers a plug-in, and ``DataverseClient`` any program.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iorganizationservice
    """

    def create(self, entity: Entity) -> str: ...
    def retrieve(self, logical_name: str, id: str, columns: Sequence[str] | None = None) -> Entity: ...
    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection: ...
    def update(self, entity: Entity) -> None: ...
    def delete(self, logical_name: str, id: str) -> None: ...
    def associate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None: ...
    def disassociate(
        self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]
    ) -> None: ...
    def execute(self, request: OrganizationRequest) -> OrganizationResponse: ...
