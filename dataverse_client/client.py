"""The rows of a Dataverse environment, from Python.

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
from dataverse_client.exact_json import JsonObject, loads
from dataverse_client.exchange import Request
from dataverse_client.execute import execute
from dataverse_client.executor import Executor
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
    """The row an upsert ended at, and whether it had to be created."""

    reference: EntityReference
    created: bool


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Who the environment takes us for."""

    user_id: str
    business_unit_id: str
    organization_id: str


class DataverseClient:
    """An ``OrganizationService`` over the Web API of the environment at ``url``. Threads may share it.

    Requests are repeated as ``retry`` says, where repeating is safe. ``session`` is a requests session to use
    instead of a pooled one of our own; ``trust_env`` lets the latter read proxy and certificate variables.

    Every method raises a :class:`~dataverse_client.errors.DataverseError`, :meth:`batch` excepted.
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
        """Lets ``adapter`` answer requests to URLs that start with ``prefix``: an embedded Dataverse, say."""
        self.session.mount(prefix, adapter)

    def with_options(self, options: RequestOptions) -> DataverseClient:
        """A client with these options that shares connections, tokens and metadata with this one."""
        twin = copy.copy(self)
        twin._executor = Executor(self._executor.transport, self.metadata, options)
        return twin

    def create(self, entity: Entity) -> str:
        """Makes a row and returns its id, which is ``entity.id`` when that is set."""
        created = self._executor.perform(Create(entity)).id
        if created is None:
            raise UnexpectedResponseError(f"Dataverse created a {entity.logical_name} without saying its id")
        return created

    def create_multiple(self, entities: Sequence[Entity]) -> list[str]:
        """Makes rows of one table, all of them or none, and returns their ids in order.

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
        """Changes an existing row, known by id or alternate key; never creates one.

        With ``if_match``, a ``row_version``, ConcurrencyConflictError when the row has another by now.
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
        """One page of rows. Its ``paging_cookie``, put into the query's ``page_info``, asks for the next."""
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
        request = query_request(query, table, self._executor.transport.root)
        content = loads(self._executor.send(request, correlation_id).or_error())
        link = next_link(content, query.page_info.paging_cookie if query.page_info else None)
        return EntityCollection(
            [decode_entity(row, table) for row in content.get("value", ())],
            entity_name=query.entity_name,
            more_records=link is not None,
            paging_cookie=link,
            total_record_count=content.get("@odata.count", -1),
        )

    def changes(
        self, logical_name: str, columns: Sequence[str] | None = None, *, link: str | None = None
    ) -> ChangesPage:
        """One page of what is new, changed or deleted; without a ``link`` of an earlier page, of all rows.

        Raises:
          ChangesExpiredError: the link is too old.
          InvalidRequestError: with CHANGE_TRACKING_DISABLED as its code, when the table's changes are not tracked.
        """
        table = self.metadata.table(logical_name)
        request = changes_request(table, columns, link, self._executor.transport.root)
        return read_changes(loads(self._executor.send(request).or_error()), table, link)

    def batch(self, operations: Sequence[Operation], *, atomic: bool = False) -> list[BatchResult]:
        """Does many operations in one request for each thousand; the results are in their order.

        They are independent: each has its own result or error, and the rest go on. When the request as a whole
        fails, every operation in it has that error. ``atomic`` makes them one change set instead, of at most a
        thousand: all or none, with one error for all of them.

        Raises:
          InvalidRequestError: ``atomic`` with too many operations, or with a Retrieve.
        """
        return self._executor.batch(operations, atomic=atomic)

    def associate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        """Links a row to others through the relationship of that schema name: all of them or none."""
        self._link(Associate, EntityReference(logical_name, id), relationship, related)

    def disassociate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None:
        """Ends such links: all of them or none."""
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
        """The answer of an unbound function, as JSON with Decimals."""
        return self._call(messages.function_request(name, parameters or {}, self.metadata.table))

    def action(self, name: str, parameters: Mapping[str, Any] | None = None) -> JsonObject:
        """The answer of an unbound action or custom API, as JSON with Decimals; empty when it gives none."""
        return self._call(messages.action_request(name, parameters or {}, self.metadata.table))

    def define(self, path: str, definition: Mapping[str, Any]) -> None:
        """Makes a table, column, relationship or key: its metadata, posted to ``EntityDefinitions`` or the like.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
        """
        self._executor.send(messages.definition_request(path, definition)).or_error()
        self.metadata.clear()

    def _call(self, request: Request) -> JsonObject:
        answer = self._executor.send(request).or_error()
        content = loads(answer) if answer.body else {}
        return JsonObject({name: value for name, value in content.items() if not name.startswith("@odata.")})

    def execute(self, request: OrganizationRequest) -> OrganizationResponse:
        """Any message: those on rows under the SDK's parameter names, others as unbound functions or actions."""
        return OrganizationResponse(request.message_name, execute(self, request))
