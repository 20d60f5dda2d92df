"""Converts column values to and from what SQLite stores, with one codec per column.

Money is stored as an integer of ten-thousandths, a decimal as an integer of its column's smallest unit, a time as text
such as ``2026-01-31T12:00:00Z`` (whole seconds, as in Dataverse), and an id as lower-case text. Only Double columns use
binary fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, partial
from typing import Any, TypeAlias

from dataverse_client.types import EntityReference, Money, OptionSetValue, guid
from runner.emulator.errors import (
    IncorrectAttributeValueType,
    InvalidArgument,
    StringLengthTooLong,
    ValueOutOfRange,
)
from runner.emulator.metadata.model import AttributeType, Column

Stored: TypeAlias = "int | float | str | None"
Encode: TypeAlias = Callable[[Any], Stored]
Decode: TypeAlias = Callable[[Any], Any]

MONEY_SCALE = 4
_MONEY_UNIT = Decimal(1).scaleb(-MONEY_SCALE)
#: The greatest 64-bit integer.
_MAX_STORED = 2**63 - 1
#: The first year of SQL Server's datetime; Dataverse refuses earlier ones.
_FIRST_YEAR = 1753
_ID_LENGTH = 36
#: The length of an ISO time up to the seconds.
_WHOLE_SECONDS = 19
#: The size of the cache of references, as many rows refer to few owners, currencies and customers.
_REFERENCES_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Codec:
    """Encodes and decodes the values of one column.

    A lookup with several target tables stores the table's name in a second column, ``table_column``. Both are read as
    one text, the id followed by the table.
    """

    name: str
    sql_type: str
    encode: Encode
    decode: Decode
    table_column: str | None = None

    def stored(self, value: Any) -> Stored:
        """The stored form that :attr:`decode` takes. Raises the errors of ``encode``."""
        return f"{self.encode(value)}{value.logical_name}" if self.table_column else self.encode(value)

    def select(self, prefix: str = "") -> str:
        """The SQL expression for :attr:`decode`. ``prefix`` qualifies the column."""
        if self.table_column:
            return f'{prefix}"{self.name}" || {prefix}"{self.table_column}"'
        return f'{prefix}"{self.name}"'


def codec(table: str, column: Column) -> Codec:
    """The codec of a column. Its ``encode`` raises Dataverse's fault for a value that does not fit."""
    return _CODECS[column.type](table, column)


def _text(table: str, column: Column) -> Codec:
    name, limit = column.logical_name, column.max_length or 100

    def encode(value: Any) -> str | None:
        if not isinstance(value, str):
            raise IncorrectAttributeValueType.of(table, name, value, "text (str)")
        if len(value) > limit or (not value.isascii() and _utf16_length(value) > limit):
            raise StringLengthTooLong.of(table, name, limit)
        return value or None  # Dataverse stores empty text as null

    return Codec(name, "TEXT COLLATE NOCASE", encode, str)


def _utf16_length(text: str) -> int:
    """The length as .NET and SQL Server count it: a character outside the Basic Multilingual Plane counts as two.

    Source: https://learn.microsoft.com/sql/t-sql/data-types/nchar-and-nvarchar-transact-sql
    """
    return len(text) + sum(character > "\uffff" for character in text)


def _identifier(table: str, column: Column) -> Codec:
    name = column.logical_name

    def encode(value: Any) -> str:
        if not isinstance(value, str):
            raise IncorrectAttributeValueType.of(table, name, value, "an id (str)")
        try:
            return guid(value)
        except ValueError as error:
            raise InvalidArgument(f"'{name}' of '{table}': {error}") from None

    return Codec(name, "TEXT", encode, str)


def _integer(table: str, column: Column) -> Codec:
    name = column.logical_name
    low = -_MAX_STORED if column.min_value is None else column.min_value
    high = _MAX_STORED if column.max_value is None else column.max_value

    def encode(value: Any) -> int:
        if type(value) is not int:
            raise IncorrectAttributeValueType.of(table, name, value, "a whole number (int)")
        if not low <= value <= high:
            raise ValueOutOfRange.of(table, name, value)
        return value

    return Codec(name, "INTEGER", encode, int)


def _decimal(table: str, column: Column) -> Codec:
    name, places = column.logical_name, column.precision or 0
    to_units = _scaler(table, column, places)

    def encode(value: Any) -> int:
        if type(value) is int:
            value = Decimal(value)
        if not isinstance(value, Decimal):
            raise IncorrectAttributeValueType.of(table, name, value, "a Decimal")
        return to_units(value)

    unit = Decimal(1).scaleb(-places)
    return Codec(name, "INTEGER", encode, lambda units: units * unit)


def _money(table: str, column: Column) -> Codec:
    name = column.logical_name
    to_units = _scaler(table, column, MONEY_SCALE)

    def encode(value: Any) -> int:
        if type(value) is not Money:
            raise IncorrectAttributeValueType.of(table, name, value, "Money")
        return to_units(value.value)

    return Codec(name, "INTEGER", encode, lambda units: Money(units * _MONEY_UNIT))


def _scaler(table: str, column: Column, places: int) -> Callable[[Decimal], int]:
    """Converts a Decimal to units of ``10**-places``, rounded half away from zero, as Dataverse rounds."""
    name = column.logical_name
    unit, factor = Decimal(1).scaleb(-places), Decimal(10) ** places
    low = max(_units(column.min_value, places, -_MAX_STORED), -_MAX_STORED)
    high = min(_units(column.max_value, places, _MAX_STORED), _MAX_STORED)

    def to_units(value: Decimal) -> int:
        try:
            units = int(value.quantize(unit, ROUND_HALF_UP) * factor)
        except (ArithmeticError, ValueError):  # too many digits, or not a number
            raise ValueOutOfRange.of(table, name, value) from None
        if not low <= units <= high:
            raise ValueOutOfRange.of(table, name, value)
        return units

    return to_units


def _units(limit: float | None, places: int, otherwise: int) -> int:
    return otherwise if limit is None else int(Decimal(repr(limit)).scaleb(places))


def _double(table: str, column: Column) -> Codec:
    name, low, high = column.logical_name, column.min_value, column.max_value

    def encode(value: Any) -> float:
        if type(value) is bool or not isinstance(value, Decimal | int | float):
            raise IncorrectAttributeValueType.of(table, name, value, "a Decimal")
        try:
            number = float(value) + 0.0  # avoids negative zero, which SQLite does not store
        except OverflowError:
            raise ValueOutOfRange.of(table, name, value) from None
        if not (low is None or low <= number) or not (high is None or number <= high):
            raise ValueOutOfRange.of(table, name, value)
        return number

    return Codec(name, "REAL", encode, lambda number: Decimal(repr(number)))


def _boolean(table: str, column: Column) -> Codec:
    name = column.logical_name

    def encode(value: Any) -> int:
        if value is True:
            return 1
        if value is False:
            return 0
        raise IncorrectAttributeValueType.of(table, name, value, "a bool")

    return Codec(name, "INTEGER", encode, bool)


def _date_time(table: str, column: Column) -> Codec:
    if column.date_only:
        return _date(table, column)
    name = column.logical_name

    def encode(value: Any) -> str:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise IncorrectAttributeValueType.of(table, name, value, "an aware datetime")
        try:
            moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        except OverflowError:
            raise ValueOutOfRange.of(table, name, value) from None
        if moment.year < _FIRST_YEAR:
            raise ValueOutOfRange.of(table, name, value)
        return moment_text(moment)

    return Codec(name, "TEXT", encode, datetime.fromisoformat)


def moment_text(value: datetime) -> str:
    """``2026-01-31T12:00:00Z``, without fractions of a second, as in Dataverse."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat()[:_WHOLE_SECONDS] + "Z"


def _date(table: str, column: Column) -> Codec:
    name = column.logical_name

    def encode(value: Any) -> str:
        if isinstance(value, datetime):
            value = value.date()
        if not isinstance(value, date):
            raise IncorrectAttributeValueType.of(table, name, value, "a date")
        if value.year < _FIRST_YEAR:
            raise ValueOutOfRange.of(table, name, value)
        return value.isoformat()

    return Codec(name, "TEXT", encode, date.fromisoformat)


def _choice(table: str, column: Column) -> Codec:
    name = column.logical_name
    # The objects of a choice are cached, as they are immutable and few.
    known = {option.value: OptionSetValue(option.value) for option in column.options}

    def encode(value: Any) -> int:
        if not isinstance(value, OptionSetValue):
            raise IncorrectAttributeValueType.of(table, name, value, "an OptionSetValue")
        number = value.value
        if number in known:
            return number
        if not isinstance(number, int):
            raise IncorrectAttributeValueType.of(table, name, number, "the OptionSetValue of a number (int)")
        raise ValueOutOfRange.of(table, name, number, known)

    def decode(number: int) -> OptionSetValue:
        return known.get(number) or OptionSetValue(number)

    return Codec(name, "INTEGER", encode, decode)


def _choices(table: str, column: Column) -> Codec:
    """Stored as ``,1,2,`` so that one value can be found with LIKE."""
    name = column.logical_name
    known = [option.value for option in column.options]

    def encode(values: Any) -> str | None:
        if not isinstance(values, tuple) or not all(isinstance(value, OptionSetValue) for value in values):
            raise IncorrectAttributeValueType.of(table, name, values, "a tuple of OptionSetValue")
        for value in values:
            if value.value not in known:
                raise ValueOutOfRange.of(table, name, value.value, known)
        return f",{','.join(str(value.value) for value in values)}," if values else None

    def decode(text: str) -> tuple[OptionSetValue, ...]:
        return tuple(OptionSetValue(int(number)) for number in text.strip(",").split(","))

    return Codec(name, "TEXT", encode, decode)


def _lookup(table: str, column: Column) -> Codec:
    name, targets = column.logical_name, column.targets

    def encode(value: Any) -> str:
        if not isinstance(value, EntityReference):
            raise IncorrectAttributeValueType.of(table, name, value, "an EntityReference")
        if value.logical_name not in targets:
            raise InvalidArgument.wrong_target(table, name, targets, value.logical_name)
        return value.id

    if len(targets) == 1:
        return Codec(name, "TEXT", encode, lru_cache(_REFERENCES_KEPT)(partial(EntityReference, targets[0])))
    return Codec(name, "TEXT", encode, _read_reference, f"{name}__table")


def _read_reference(text: str) -> EntityReference:
    return EntityReference(text[_ID_LENGTH:], text[:_ID_LENGTH])


_CODECS: dict[AttributeType, Callable[[str, Column], Codec]] = {
    AttributeType.UNIQUEIDENTIFIER: _identifier,
    AttributeType.STRING: _text,
    AttributeType.MEMO: _text,
    AttributeType.INTEGER: _integer,
    AttributeType.BIG_INT: _integer,
    AttributeType.DECIMAL: _decimal,
    AttributeType.DOUBLE: _double,
    AttributeType.MONEY: _money,
    AttributeType.BOOLEAN: _boolean,
    AttributeType.MANAGED_PROPERTY: _boolean,
    AttributeType.DATE_TIME: _date_time,
    AttributeType.PICKLIST: _choice,
    AttributeType.STATE: _choice,
    AttributeType.STATUS: _choice,
    AttributeType.MULTI_SELECT_PICKLIST: _choices,
    AttributeType.LOOKUP: _lookup,
    AttributeType.CUSTOMER: _lookup,
    AttributeType.OWNER: _lookup,
    AttributeType.FILE: _identifier,
}
