"""Converts rows between :class:`~dataverse_client.types.Entity` and the Web API's JSON.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-types-operations
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from dataverse_client.errors import InvalidRequestError, UnexpectedResponseError
from dataverse_client.metadata import TableMetadata, Tables
from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, Money, OptionSetValue, guid

FORMATTED_VALUE = "@OData.Community.Display.V1.FormattedValue"
LOOKUP_LOGICAL_NAME = "@Microsoft.Dynamics.CRM.lookuplogicalname"


def decode_entity(row: Mapping[str, Any], table: TableMetadata) -> Entity:
    """A row as the Web API returned it. As in the SDK, columns without a value are absent.

    ``row_version`` is the row's ETag, ready to be an If-Match.

    Raises:
      UnexpectedResponseError: a value is not of its column's type.
    """
    entity = Entity(table.logical_name, row_version=row.get("@odata.etag"))
    for name, value in row.items():
        if "@" in name:
            if name.endswith(FORMATTED_VALUE):
                entity.formatted_values[_column(name.removesuffix(FORMATTED_VALUE))] = value
        elif value is not None:
            entity.attributes[_column(name)] = _decode(name, value, row, table)
    entity.id = entity.get(table.primary_id_attribute)
    return entity


def _column(name: str) -> str:
    """``_customerid_value`` is how the Web API spells the lookup ``customerid``."""
    return name[1:-6] if name.startswith("_") and name.endswith("_value") else name


def _decode(name: str, value: Any, row: Mapping[str, Any], table: TableMetadata) -> Any:
    column = _column(name)
    try:
        if column != name:
            return _decode_lookup(name, value, row, table)
        decoder = _DECODERS.get(table.attribute_types.get(name, ""))
        return value if decoder is None else decoder(value)
    except (ValueError, TypeError, AttributeError, InvalidOperation) as error:
        kind = table.attribute_types.get(column, "Lookup")
        raise UnexpectedResponseError(
            f"{table.logical_name}.{column} is a {kind} column, but came as {type(value).__name__}"
        ) from error


def _decode_lookup(name: str, value: Any, row: Mapping[str, Any], table: TableMetadata) -> EntityReference:
    target = row.get(name + LOOKUP_LOGICAL_NAME)
    if target is None:
        targets = table.navigation_properties.get(_column(name), {})
        target = next(iter(targets)) if len(targets) == 1 else ""
    return EntityReference(target, guid(value), row.get(name + FORMATTED_VALUE))


def _decode_moment(text: str) -> date | datetime:
    """A date-only column holds a calendar day, which has no time zone."""
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).astimezone(UTC)


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "Money": lambda value: Money(Decimal(value)),
    "Decimal": Decimal,
    "Double": Decimal,
    "Picklist": OptionSetValue,
    "State": OptionSetValue,
    "Status": OptionSetValue,
    "MultiSelectPicklist": lambda value: tuple(OptionSetValue(int(number)) for number in value.split(",")),
    "DateTime": _decode_moment,
    "Uniqueidentifier": guid,
}


def encode_entity(entity: Entity, tables: Tables, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The body that writes ``entity``'s columns, except its primary id and the columns in ``without``.

    Raises:
      InvalidRequestError: a value cannot be written to a column, or there are related rows to write.
    """
    table = tables(entity.logical_name)
    if entity.related_entities:
        raise InvalidRequestError(f"{table.logical_name}: create related rows in a change set of their own operations")
    body: dict[str, Any] = {}
    for column, value in entity.items():
        if column == table.primary_id_attribute or column in without:
            continue
        if table.is_lookup(column) or isinstance(value, EntityReference):
            property = _navigation(table, column, value)
            body[f"{property}@odata.bind"] = None if value is None else "/" + row_path(value, tables)
        else:
            body[column] = encode_value(value, f"{table.logical_name}.{column}")
    return body


def encode_id(entity: Entity, tables: Tables) -> dict[str, str]:
    """The primary id as a column of a body, when the caller chose one."""
    if entity.id is None:
        return {}
    table = tables(entity.logical_name)
    return {table.primary_id_attribute: checked_guid(entity.id, table.logical_name)}


def _navigation(table: TableMetadata, column: str, value: Any) -> str:
    if value is None:
        return table.navigation_property(column, None)
    if not isinstance(value, EntityReference):
        raise InvalidRequestError(
            f"{table.logical_name}.{column} is a lookup: give it an EntityReference, not {type(value).__name__}"
        )
    return table.navigation_property(column, value.logical_name)


def encode_value(value: Any, where: str) -> Any:
    """``value`` as JSON; a Decimal stays one, for :func:`dataverse_client.exact_json.dumps`.

    Raises:
      InvalidRequestError: the value has no JSON form. The message names the column by ``where``.
    """
    match value:
        case None | str() | bool() | int():
            return value
        case Money(value=amount) | (Decimal() as amount):
            return _finite(amount, where)
        case OptionSetValue(value=number):
            return number
        case tuple() if all(isinstance(option, OptionSetValue) for option in value):
            return ",".join(str(option.value) for option in value) or None
        case datetime():
            return _encode_moment(value, where)
        case date():
            return value.isoformat()
        case float():
            raise InvalidRequestError(f"{where}: a float is not exact; use Decimal")
    raise InvalidRequestError(f"{where}: {type(value).__name__} cannot be written to a column")


def _finite(amount: Decimal, where: str) -> Decimal:
    if not amount.is_finite():
        raise InvalidRequestError(f"{where}: {amount} is not a number Dataverse can store")
    return amount


def _encode_moment(moment: datetime, where: str) -> str:
    if moment.tzinfo is None:
        raise InvalidRequestError(f"{where}: {moment} has no time zone; give an aware datetime, in UTC")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def row_path(row: EntityReference, tables: Tables) -> str:
    """``accounts(<guid>)``, or ``accounts(accountnumber='A%201')`` for a row known by an alternate key.

    Raises:
      InvalidRequestError: there is neither an id nor a key, or the id is not a GUID.
    """
    table = tables(row.logical_name)
    if row.id != EMPTY_GUID:
        return f"{table.entity_set_name}({checked_guid(row.id, table.logical_name)})"
    if not row.key_attributes:
        raise InvalidRequestError(f"This {row.logical_name} has neither an id nor an alternate key")
    pairs = (
        f"{table.property_name(column)}={literal(value, table, column)}" for column, value in row.key_attributes.items()
    )
    return f"{table.entity_set_name}({quote(','.join(pairs), safe=_SAFE_IN_PATH)})"


#: Inside a key, ``/`` would end the path segment and ``?`` the path.
_SAFE_IN_PATH = "=',$@:()"


def literal(value: Any, table: TableMetadata, column: str) -> str:
    """``value`` as OData writes it in a URL, not yet percent-encoded.

    Raises:
      InvalidRequestError: the value has no such form.
    """
    where = f"{table.logical_name}.{column}"
    if isinstance(value, EntityReference):
        return checked_guid(value.id, where)
    plain = encode_value(value, where)
    if isinstance(value, str):
        is_id = table.is_lookup(column) or table.attribute_types.get(column) == "Uniqueidentifier"
        return checked_guid(value, where) if is_id else quoted(value, where)
    if isinstance(plain, Decimal):
        return format(plain, "f")
    if plain is None:
        return "null"
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def quoted(text: str, where: str) -> str:
    """``text`` as an OData string. Raises InvalidRequestError naming ``where`` when it is not Unicode."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequestError(f"{where}: {text!r} holds half a surrogate pair")
    return "'" + text.replace("'", "''") + "'"


def checked_guid(text: str, where: str) -> str:
    """``text`` as a lower-case GUID. Raises InvalidRequestError naming ``where`` when it is not a GUID."""
    try:
        return guid(text)
    except ValueError as error:
        raise InvalidRequestError(f"{where}: {error}") from None
