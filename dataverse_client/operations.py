"""Operations on rows as values, so that the same operation can be sent alone, in a batch or in a change set.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/perform-operations-web-api
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dataverse_client.errors import DataverseError, DuplicateRecordError, InvalidRequestError, NotFoundError
from dataverse_client.exact_json import dumps, loads
from dataverse_client.exchange import Answer, Request, prefer
from dataverse_client.metadata import Tables
from dataverse_client.query import query_string, select
from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, is_guid
from dataverse_client.webapi import checked_guid, decode_entity, encode_entity, encode_id, row_path


@dataclass(frozen=True, slots=True)
class Create:
    """Creates a row. ``entity.id``, when set, becomes the row's id and makes it safe to repeat the request."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Update:
    """Changes an existing row. ``if_match`` is the ``row_version`` it must still have; None accepts any."""

    entity: Entity
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """Changes the row with this id or alternate key, or creates it when it does not exist."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a row. ``if_match`` is the ``row_version`` it must still have; None accepts any."""

    logical_name: str
    id: str
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Reads one row, by id or alternate key. ``columns`` None means every column."""

    row: EntityReference
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Associate:
    """Links ``row`` to ``related`` through a navigation property; ``is_collection`` when that leads to many rows."""

    row: EntityReference
    navigation_property: str
    related: EntityReference
    is_collection: bool = True


@dataclass(frozen=True, slots=True)
class Disassociate:
    """Removes the link from ``row`` to ``related``."""

    row: EntityReference
    navigation_property: str
    related: EntityReference
    is_collection: bool = True


Operation: TypeAlias = "Create | Update | Upsert | Delete | Retrieve | Associate | Disassociate"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one operation: the row's id, or the error. ``created`` is an Upsert's, ``entity`` a Retrieve's."""

    id: str | None
    error: DataverseError | None = None
    created: bool | None = None
    entity: Entity | None = None

    @property
    def succeeded(self) -> bool:
        """Whether there is no error."""
        return self.error is None


def to_request(operation: Operation, tables: Tables, root: str) -> Request:
    """The HTTP request for ``operation``. ``root`` is the URL of the API, needed for links in the body.

    Raises:
      InvalidRequestError: a value or an id cannot be written.
    """
    match operation:
        case Create(entity):
            return _create(entity, tables)
        case Update(entity, if_match):
            return _patch(entity, tables, {"If-Match": _etag(if_match)})
        case Upsert(entity):
            # Dataverse tells created (201) from updated (200) only if asked for a representation; the id is enough.
            least = query_string(select((), tables(entity.logical_name)))
            return _patch(entity, tables, prefer("return=representation"), least)
        case Delete(logical_name, id, if_match):
            headers = {"If-Match": _etag(if_match)} if if_match else {}
            return Request("DELETE", row_path(EntityReference(logical_name, id), tables), headers)
        case Retrieve(row, columns):
            options = select(columns, tables(row.logical_name))
            return Request("GET", row_path(row, tables) + query_string(options))
        case Associate() | Disassociate():
            return _link(operation, tables, root)


def to_result(operation: Operation, answer: Answer, tables: Tables) -> BatchResult:
    """The result of ``operation`` that ``answer`` holds. Raises UnexpectedResponseError when it cannot be read."""
    error = answer.error()
    if error is not None and not _done_by_an_earlier_attempt(operation, error):
        return BatchResult(subject_id(operation), error)
    match operation:
        case Create(entity):
            return BatchResult(subject_id(operation) or _created_id(answer))
        case Upsert(entity):
            table = tables(entity.logical_name)
            row = decode_entity(loads(answer), table) if answer.body else None
            id = subject_id(operation) or (row and row.id) or _created_id(answer)
            return BatchResult(id, created=answer.status == 201)
        case Retrieve(row):
            found = decode_entity(loads(answer), tables(row.logical_name))
            return BatchResult(found.id, entity=found)
    return BatchResult(subject_id(operation))


_JSON = {"Content-Type": "application/json"}


def _create(entity: Entity, tables: Tables) -> Request:
    table = tables(entity.logical_name)
    body = {**encode_id(entity, tables), **encode_entity(entity, tables)}
    return Request("POST", table.entity_set_name, _JSON, dumps(body), repeatable=entity.id is not None)


def _patch(entity: Entity, tables: Tables, headers: Mapping[str, str], options: str = "") -> Request:
    # The columns of an alternate key are in the URL; Dataverse refuses them in the body as well.
    body = encode_entity(entity, tables, without=() if entity.id else entity.key_attributes)
    return Request("PATCH", row_path(_reference(entity), tables) + options, {**_JSON, **headers}, dumps(body))


def _link(operation: Associate | Disassociate, tables: Tables, root: str) -> Request:
    path = f"{row_path(operation.row, tables)}/{operation.navigation_property}"
    if isinstance(operation, Disassociate):
        key = (
            f"({checked_guid(operation.related.id, operation.related.logical_name)})" if operation.is_collection else ""
        )
        return Request("DELETE", f"{path}{key}/$ref")
    method = "POST" if operation.is_collection else "PUT"
    body = dumps({"@odata.id": root + row_path(operation.related, tables)})
    return Request(method, f"{path}/$ref", _JSON, body, repeatable=not operation.is_collection)


def _reference(entity: Entity) -> EntityReference:
    try:
        return entity.to_entity_reference()
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _etag(if_match: str | None) -> str:
    """The If-Match header. ``*`` only requires that the row exists, so that an update never creates one."""
    if if_match is None:
        return "*"
    return f'W/"{if_match}"' if if_match.isdecimal() else if_match


def _done_by_an_earlier_attempt(operation: Operation, error: DataverseError) -> bool:
    """Whether the error only means that an earlier attempt, whose answer was lost, had already succeeded."""
    if not error.is_repeat:
        return False
    if isinstance(operation, Create):
        return operation.entity.id is not None and isinstance(error, DuplicateRecordError) and error.code == 0x80040237
    return isinstance(operation, Delete) and isinstance(error, NotFoundError)


def subject_id(operation: Operation) -> str | None:
    """The id of the operation's row, if it is known before the request."""
    match operation:
        case Create(entity) | Update(entity) | Upsert(entity):
            return entity.id and entity.id.lower()
        case Delete(_, id):
            return id.lower()
        case Retrieve(row) | Associate(row) | Disassociate(row):
            return row.id if row.id != EMPTY_GUID else None


_LAST_ID = re.compile(r"\(([0-9a-fA-F-]{36})\)\s*\Z")


def _created_id(answer: Answer) -> str | None:
    match = _LAST_ID.search(answer.headers.get("odata-entityid", ""))
    return match[1].lower() if match and is_guid(match[1]) else None
