"""The methods of IOrganizationService, each as the message it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    OrganizationRequest,
    OrganizationResponse,
    QueryExpression,
)


class MessageService:
    """An ``OrganizationService`` on top of one function that executes a request.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-messages
    """

    __slots__ = ("execute",)

    def __init__(self, execute: Callable[[OrganizationRequest], OrganizationResponse]) -> None:
        self.execute = execute

    def create(self, entity: Entity) -> str:
        created: str = self.execute(OrganizationRequest("Create", {"Target": entity})).results["id"]
        return created

    def retrieve(self, logical_name: str, id: str, columns: Sequence[str] | None = None) -> Entity:
        parameters = {
            "Target": EntityReference(logical_name, id),
            "ColumnSet": None if columns is None else tuple(columns),
        }
        row: Entity = self.execute(OrganizationRequest("Retrieve", parameters)).results["BusinessEntity"]
        return row

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        response = self.execute(OrganizationRequest("RetrieveMultiple", {"Query": query}))
        rows: EntityCollection = response.results["BusinessEntityCollection"]
        return rows

    def update(self, entity: Entity) -> None:
        self.execute(OrganizationRequest("Update", {"Target": entity}))

    def delete(self, logical_name: str, id: str) -> None:
        self.execute(OrganizationRequest("Delete", {"Target": EntityReference(logical_name, id)}))

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
        self.execute(OrganizationRequest(message, parameters))
