"""Implements the methods of IOrganizationService by executing messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    OrganizationRequest,
    OrganizationResponse,
    QueryExpression,
)

#: Executes a message: takes its name and parameters, and returns its results.
Perform: TypeAlias = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class MessageService:
    """An ``OrganizationService`` that calls one function for every message.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-messages
    """

    __slots__ = ("perform",)

    def __init__(self, perform: Perform) -> None:
        self.perform = perform

    def execute(self, request: OrganizationRequest) -> OrganizationResponse:
        return OrganizationResponse(request.message_name, self.perform(request.message_name, request.parameters))

    def create(self, entity: Entity) -> str:
        created: str = self.perform("Create", {"Target": entity}).get("id", EMPTY_GUID)
        return created

    def retrieve(self, logical_name: str, id: str, columns: Sequence[str] | None = None) -> Entity:
        parameters = {
            "Target": EntityReference(logical_name, id),
            # A type checker accepts a str, because it is a sequence of str.
            "ColumnSet": (columns,) if isinstance(columns, str) else None if columns is None else tuple(columns),
        }
        row: Entity = self.perform("Retrieve", parameters)["BusinessEntity"]
        return row

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        rows: EntityCollection = self.perform("RetrieveMultiple", {"Query": query})["BusinessEntityCollection"]
        return rows

    def update(self, entity: Entity) -> None:
        self.perform("Update", {"Target": entity})

    def delete(self, logical_name: str, id: str) -> None:
        self.perform("Delete", {"Target": EntityReference(logical_name, id)})

    def associate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        self._relate("Associate", logical_name, id, relationship, related)

    def disassociate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        self._relate("Disassociate", logical_name, id, relationship, related)

    def _relate(
        self, message: str, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]
    ) -> None:
        parameters = {
            "Target": EntityReference(logical_name, id),
            "Relationship": relationship,
            "RelatedEntities": tuple(related),
        }
        self.perform(message, parameters)
