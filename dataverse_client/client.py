"""The client: reads and writes the rows of a Dataverse environment.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/overview
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any

import requests
from requests.adapters import BaseAdapter

from dataverse_client import messages
from dataverse_client.auth import TokenProvider
from dataverse_client.changes import ChangesPage, changes_request, read_changes
from dataverse_client.errors import UnexpectedResponseError
from dataverse_client.exact_json import JsonObject, loads, rows
from dataverse_client.exchange import Request
from dataverse_client.execute import execute
from dataverse_client.executor import Executor
from dataverse_client.linked_query import fetch_request, needs_fetchxml, read_fetched
from dataverse_client.metadata import MetadataCache
from dataverse_client.operations import (
    Associate,
    BatchResult,
    Create,
    Delete,
    Disassociate,
    Operation,
    Retrieve,
    Update,
    Upsert,
)
from dataverse_client.options import RequestOptions
from dataverse_client.query import next_link, query_request
from dataverse_client.retry import RetrySettings
from dataverse_client.transport import Timeouts, Transport
from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    OrganizationRequest,
    OrganizationResponse,
    PagingInfo,
    QueryExpression,
    new_guid,
)
from dataverse_client.webapi import decode_entity


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The row that was changed or created by an upsert, and which of the two it was."""

    reference: EntityReference
    created: bool


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """The user that requests are made as, with its business unit and organization."""

    user_id: str
    business_unit_id: str
    organization_id: str


class DataverseClient:
    """An ``OrganizationService`` over the Web API of the environment at ``url``. Threads may share it.

    Failed requests are repeated according to ``retry`` where that is safe. ``session`` is a requests session to use
    instead of the pooled one that is made by default; ``trust_env`` lets that one read proxy and certificate
    variables. ``options`` apply to every request.

    Every method raises a :class:`~dataverse_client.errors.DataverseError` when it fails, except :meth:`batch`, whose
    results hold the errors.
    """

    def __init__(
        self,
        url: str,
        *,
        tokens: TokenProvider,
        session: requests.Session | None = None,
        trust_env: bool = False,
        retry: RetrySettings | None = None,
        timeouts: Timeouts | None = None,
        options: RequestOptions | None = None,
    ) -> None:
        transport = Transport(url, tokens, session=session, trust_env=trust_env, retry=retry, timeouts=timeouts)
        self.session = transport.session
        self.metadata = MetadataCache(lambda request: transport.send(request, correlation_id=new_guid()))
        self._executor = Executor(transport, self.metadata, options or RequestOptions())

    def __repr__(self) -> str:
        return f"DataverseClient({self._executor.transport.root!r})"

    def __enter__(self) -> DataverseClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the session's connections, which clients made by :meth:`with_options` share."""
        self.session.close()

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Sends requests for URLs that start with ``prefix`` to ``adapter``, such as an embedded Dataverse."""
        self.session.mount(prefix, adapter)

    def with_options(self, options: RequestOptions) -> DataverseClient:
        """A client with these options that shares connections, tokens and metadata with this one."""
        twin = copy.copy(self)
        twin._executor = Executor(self._executor.transport, self.metadata, options)
        return twin

    def create(self, entity: Entity) -> str:
        """Creates a row and returns its id, which is ``entity.id`` when that is set."""
        created = self._executor.perform(Create(entity)).id
        if created is None:
            raise UnexpectedResponseError(f"Dataverse created a {entity.logical_name} without saying its id")
        return created

    def create_multiple(self, entities: Sequence[Entity]) -> list[str]:
        """Creates rows of one table, all of them or none, and returns their ids in order.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/bulk-operations
        """
        if not entities:
            return []
        answer = loads(self._executor.send(messages.create_multiple_request(entities, self.metadata.table)).or_error())
        return [str(id).lower() for id in answer["Ids"]]

    def retrieve(self, logical_name: str, id: str, columns: Sequence[str] | None = None) -> Entity:
        """The row with this id; ``columns`` None means all of them. NotFoundError when there is none."""
        return self._retrieve(EntityReference(logical_name, id), columns)

    def retrieve_by_key(
        self, logical_name: str, key_attributes: Mapping[str, Any], columns: Sequence[str] | None = None
    ) -> Entity:
        """The row whose alternate key has these values."""
        return self._retrieve(EntityReference(logical_name, key_attributes=key_attributes), columns)

    def _retrieve(self, row: EntityReference, columns: Sequence[str] | None) -> Entity:
        found = self._executor.perform(Retrieve(row, None if columns is None else tuple(columns))).entity
        assert found is not None  # noqa: S101  # a Retrieve without an error has a row
        return found

    def update(self, entity: Entity, *, if_match: str | None = None) -> None:
        """Changes an existing row, identified by id or alternate key; never creates one.

        ``if_match`` is the ``row_version`` the row must still have; otherwise ConcurrencyConflictError is raised.
        """
        self._executor.perform(Update(entity, if_match))

    def upsert(self, entity: Entity) -> UpsertResult:
        """Changes the row with ``entity``'s id or alternate key, or creates it."""
        result = self._executor.perform(Upsert(entity))
        reference = EntityReference(entity.logical_name, result.id or EMPTY_GUID, key_attributes=entity.key_attributes)
        return UpsertResult(reference, bool(result.created))

    def delete(self, logical_name: str, id: str, *, if_match: str | None = None) -> None:
        """Deletes a row. NotFoundError when there is none."""
        self._executor.perform(Delete(logical_name, id, if_match))

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        """One page of rows. For the next page, put its ``paging_cookie`` into the query's ``page_info``."""
        return self._page(query, self._executor.correlation_id())

    def query(self, query: QueryExpression) -> Iterator[Entity]:
        """Every row, page by page; only one page is held in memory."""
        return islice(self._rows(query), query.top_count)

    def _rows(self, query: QueryExpression) -> Iterator[Entity]:
        correlation_id = self._executor.correlation_id()
        while True:
            page = self._page(query, correlation_id)
            yield from page
            if not page.more_records:
                return
            paging = query.page_info or PagingInfo()
            query = replace(query, page_info=replace(paging, paging_cookie=page.paging_cookie))

    def _page(self, query: QueryExpression, correlation_id: str) -> EntityCollection:
        table = self.metadata.table(query.entity_name)
        if needs_fetchxml(query):
            content = loads(self._executor.send(fetch_request(query, table), correlation_id).or_error())
            return read_fetched(content, query, self.metadata.table)
        request = query_request(query, table, self._executor.transport.root)
        content = loads(self._executor.send(request, correlation_id).or_error())
        link = next_link(content, query.page_info.paging_cookie if query.page_info else None)
        return EntityCollection(
            [decode_entity(row, table) for row in rows(content)],
            entity_name=query.entity_name,
            more_records=link is not None,
            paging_cookie=link,
            total_record_count=content.get("@odata.count", -1),
        )

    def changes(
        self, logical_name: str, columns: Sequence[str] | None = None, *, link: str | None = None
    ) -> ChangesPage:
        """One page of the rows that were created, changed or deleted since ``link``, taken from an earlier page.

        Without a ``link`` all rows are returned, page by page.

        Raises:
          ChangesExpiredError: the link is too old.
          InvalidRequestError: with CHANGE_TRACKING_DISABLED as its code, when the table's changes are not tracked.
        """
        table = self.metadata.table(logical_name)
        request = changes_request(table, columns, link, self._executor.transport.root)
        return read_changes(loads(self._executor.send(request).or_error()), table, link)

    def batch(self, operations: Sequence[Operation], *, atomic: bool = False) -> list[BatchResult]:
        """Carries out many operations with one request per thousand, and returns their results in the same order.

        The operations are independent: one that fails has its error in its result, and the others go on. When a
        request fails as a whole, all its operations have that error. With ``atomic`` they form one change set of at
        most a thousand instead: all succeed, or all have the same error.

        Raises:
          InvalidRequestError: ``atomic`` with too many operations, or with a Retrieve.
        """
        return self._executor.batch(operations, atomic=atomic)

    def associate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        """Links a row to others through the relationship with this schema name: to all of them or none."""
        self._link(Associate, EntityReference(logical_name, id), relationship, related)

    def disassociate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        """Removes the links between a row and others: all of them or none."""
        self._link(Disassociate, EntityReference(logical_name, id), relationship, related)

    def _link(
        self,
        kind: type[Associate | Disassociate],
        row: EntityReference,
        relationship: str,
        related: Sequence[EntityReference],
    ) -> None:
        side = self.metadata.relationship(relationship).side(row.logical_name)
        links = [kind(row, side.navigation_property, other, side.is_collection) for other in related]
        if len(links) == 1:
            self._executor.perform(links[0])
            return
        for result in self.batch(links, atomic=True):
            if result.error is not None:
                raise result.error

    def who_am_i(self) -> WhoAmI:
        """The user, business unit and organization that requests are made as."""
        answer = self.function("WhoAmI")
        return WhoAmI(*(str(answer[name]).lower() for name in ("UserId", "BusinessUnitId", "OrganizationId")))

    def function(self, name: str, parameters: Mapping[str, Any] | None = None) -> JsonObject:
        """Calls an unbound function. Returns its answer as JSON with Decimals."""
        return self._call(messages.function_request(name, parameters or {}, self.metadata.table))

    def action(self, name: str, parameters: Mapping[str, Any] | None = None) -> JsonObject:
        """Calls an unbound action or custom API. Returns its answer as JSON with Decimals, empty if there is none."""
        return self._call(messages.action_request(name, parameters or {}, self.metadata.table))

    def define(self, path: str, definition: Mapping[str, Any]) -> None:
        """Creates a table, column, relationship or key by posting its metadata to ``path`` (``EntityDefinitions``).

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
        """
        self._executor.send(messages.definition_request(path, definition)).or_error()
        self.metadata.clear()

    def _call(self, request: Request) -> JsonObject:
        answer = self._executor.send(request).or_error()
        content = loads(answer) if answer.body else {}
        return JsonObject({name: value for name, value in content.items() if not name.startswith("@odata.")})

    def execute(self, request: OrganizationRequest) -> OrganizationResponse:
        """Runs any message, with the parameter names of the .NET SDK."""
        return OrganizationResponse(request.message_name, execute(self, request))
