"""What a person types (``--set amount=19.99``, ``--record row.json``), made into a row of the right types."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from dataverse_client.types import (
    Entity,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationService,
    QueryExpression,
    guid,
    is_guid,
)
from runner.emulator.metadata.model import AttributeType, Column, Metadata, Table

#: Short names of the tables that registrations.yaml ships with an alias for.
SHORT_NAMES: Mapping[str, Mapping[str, str]] = {
    "new_payment": {
        "name": "new_name",
        "amount": "new_amount",
        "currency": "transactioncurrencyid",
        "customer": "new_customerid",
        "status": "new_paymentstatus",
    },
    "salesorder": {
        "name": "name",
        "amount": "totalamount",
        "currency": "transactioncurrencyid",
        "customer": "customerid",
        "status": "new_paymentstatus",
    },
}

#: Finds the row a lookup means by its name, such as a currency by its ISO code: (column, text) -> reference.
ResolveLookup = Callable[[Column, str], EntityReference]

Converter = Callable[[Column, Any, ResolveLookup], Any]


class RowInputError(ValueError):
    """A column or value that cannot be used, in words for the person who typed it."""

    exit_code = 2


class LookupByName:
    """Finds the row a lookup names. A customer that is not there is made, unless ``makes_customers`` is False."""

    def __init__(self, crm: OrganizationService, metadata: Metadata, *, makes_customers: bool = True) -> None:
        self._crm = crm
        self._metadata = metadata
        self._makes_customers = makes_customers

    def __call__(self, column: Column, text: str) -> EntityReference:
        for target in column.targets:
            found = self._find(target, text)
            if found is not None:
                return found
        if column.type is AttributeType.CUSTOMER and self._makes_customers:
            account = Entity("account", attributes={"name": text})
            return EntityReference("account", self._crm.create(account), name=text)
        raise RowInputError(
            f"{column.logical_name}={text!r}: no {' or '.join(column.targets)} is called that. Give the name or the id "
            "of one there is."
        )

    def _find(self, table: str, text: str) -> EntityReference | None:
        key, name = self._key(table, text)
        rows = self._crm.retrieve_multiple(QueryExpression.of(table, key, where={key: name}))
        return rows[0].to_entity_reference() if rows else None

    def _key(self, table: str, text: str) -> tuple[str, str]:
        if table == "transactioncurrency":
            return "isocurrencycode", text.upper()
        known = self._metadata.tables[table]
        return known.primary_name_attribute or known.primary_id_attribute, text


def split_assignment(text: str) -> tuple[str, str]:
    """``column=value`` taken apart. An empty value clears the column."""
    column, equals, value = text.partition("=")
    if not equals or not column.strip():
        raise RowInputError(f"--set {text!r}: write column=value, such as --set amount=19.99")
    return column.strip(), value.strip()


def build_row(table: Table, values: Mapping[str, Any], resolve: ResolveLookup) -> Entity:
    """A row of ``table`` from texts, or from JSON values.

    Raises:
      RowInputError: an unknown column, or a value its column cannot hold.
    """
    row = Entity(table.logical_name)
    for name, value in values.items():
        column = find_column(table, name)
        row[column.logical_name] = convert(column, value, resolve)
    return row


def find_column(table: Table, name: str) -> Column:
    short = SHORT_NAMES.get(table.logical_name, {})
    column = table.columns.get(short.get(name, name.lower()))
    if column is not None:
        return column
    near = difflib.get_close_matches(name, [*short, *table.columns], n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Short names: {', '.join(short) or 'none'}."
    raise RowInputError(f"Table {table.logical_name} has no column {name!r}. {hint}")


def convert(column: Column, value: Any, resolve: ResolveLookup) -> Any:
    """``value`` as the type ``column`` holds; empty is None."""
    if value is None or value == "":
        return None
    if isinstance(value, _TYPED):
        return value
    try:
        converter: Converter = _CONVERTERS.get(column.type, _text)
        return converter(column, value, resolve)
    except (ValueError, InvalidOperation, TypeError) as error:
        if isinstance(error, RowInputError):
            raise
        raise RowInputError(
            f"{column.logical_name}={value!r}: {_EXPECTED.get(column.type, 'text')} is expected"
        ) from None


def _text(column: Column, value: Any, resolve: ResolveLookup) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(column: Column, value: Any, resolve: ResolveLookup) -> Decimal:
    number = Decimal(str(value))
    if isinstance(value, bool) or not number.is_finite():
        raise TypeError
    return number


def _money(column: Column, value: Any, resolve: ResolveLookup) -> Money:
    return Money(_number(column, value, resolve))


def _integer(column: Column, value: Any, resolve: ResolveLookup) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _boolean(column: Column, value: Any, resolve: ResolveLookup) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise TypeError from None


def _moment(column: Column, value: Any, resolve: ResolveLookup) -> datetime | date:
    if column.date_only:
        return date.fromisoformat(value)
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _choice(column: Column, value: Any, resolve: ResolveLookup) -> OptionSetValue:
    labels = {option.label.lower(): option.value for option in column.options}
    text = str(value)
    number = labels.get(text.lower(), int(text) if text.isdigit() else None)
    if number not in labels.values() or number is None:
        known = ", ".join(f"{option.label} ({option.value})" for option in column.options)
        raise RowInputError(f"{column.logical_name}={text!r}: one of {known} is expected")
    return OptionSetValue(number)


def _choices(column: Column, value: Any, resolve: ResolveLookup) -> tuple[OptionSetValue, ...]:
    parts = value if isinstance(value, list) else str(value).split(",")
    return tuple(_choice(column, str(part).strip(), resolve) for part in parts)


def _lookup(column: Column, value: Any, resolve: ResolveLookup) -> EntityReference:
    if not isinstance(value, str):
        raise TypeError
    table, colon, row_id = value.partition(":")
    if colon and is_guid(row_id):
        if table not in column.targets:
            raise RowInputError(f"{column.logical_name} points at {' or '.join(column.targets)}, not at {table!r}")
        return EntityReference(table, guid(row_id))
    if is_guid(value) and len(column.targets) == 1:
        return EntityReference(column.targets[0], guid(value))
    return resolve(column, value)


def _identifier(column: Column, value: Any, resolve: ResolveLookup) -> str:
    return guid(value)


#: Values that are what a column holds already.
_TYPED = (Money, OptionSetValue, EntityReference, date, tuple)

_CONVERTERS: Mapping[AttributeType, Converter] = {
    AttributeType.MONEY: _money,
    AttributeType.DECIMAL: _number,
    AttributeType.DOUBLE: _number,
    AttributeType.INTEGER: _integer,
    AttributeType.BIG_INT: _integer,
    AttributeType.BOOLEAN: _boolean,
    AttributeType.DATE_TIME: _moment,
    AttributeType.PICKLIST: _choice,
    AttributeType.STATE: _choice,
    AttributeType.STATUS: _choice,
    AttributeType.MULTI_SELECT_PICKLIST: _choices,
    AttributeType.LOOKUP: _lookup,
    AttributeType.CUSTOMER: _lookup,
    AttributeType.OWNER: _lookup,
    AttributeType.UNIQUEIDENTIFIER: _identifier,
}

_EXPECTED: Mapping[AttributeType, str] = {
    AttributeType.MONEY: "an amount such as 19.99",
    AttributeType.DECIMAL: "a number such as 1.5",
    AttributeType.DOUBLE: "a number such as 1.5",
    AttributeType.INTEGER: "a whole number",
    AttributeType.BIG_INT: "a whole number",
    AttributeType.BOOLEAN: "true or false",
    AttributeType.DATE_TIME: "a date such as 2026-01-31 or 2026-01-31T09:00:00Z",
    AttributeType.LOOKUP: "a GUID, table:GUID, or the row's name",
    AttributeType.CUSTOMER: "account:GUID, contact:GUID, or a name",
    AttributeType.OWNER: "systemuser:GUID",
    AttributeType.UNIQUEIDENTIFIER: "a GUID",
}
