"""Converts the values of a condition to the form in which SQLite stores the column.

In FetchXML and in quoted OData lists every value is text, so each type can also be read from text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dataverse_client.types import EntityReference, Money, OptionSetValue, guid
from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import AttributeType, Column
from runner.emulator.storage.values import MONEY_SCALE, moment_text

_TRUTHS = {"true": 1, "1": 1, "yes": 1, "false": 0, "0": 0, "no": 0}
#: Appended to a time with a fraction of a second: sorts between that whole second and the next one.
_LATER_IN_THE_SECOND = "~"
#: More digits than any column allows; expanding an exponent such as 1e999999999 would exhaust memory.
_MAX_DIGITS = 40


def operand(table: str, column: Column, value: Any) -> int | float | str:
    """Convert ``value`` to the stored form of the column.

    Raises:
      InvalidArgument: the column cannot be compared with that value. The message names both.
    """
    try:
        return _OPERANDS[column.type](column, value)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        raise InvalidArgument(
            f"'{column.logical_name}' of '{table}' ({column.type.value}) cannot be compared with {value!r}."
        ) from None


def _text(_: Column, value: Any) -> str:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _identifier(_: Column, value: Any) -> str:
    if isinstance(value, EntityReference):
        return value.id
    return guid(value)


def _whole(_: Column, value: Any) -> int | float:
    if isinstance(value, OptionSetValue):
        return value.value
    return _number(value, 0)


def _decimal(column: Column, value: Any) -> int | float:
    return _number(value, column.precision or 0)


def _money(_: Column, value: Any) -> int | float:
    return _number(value.value if isinstance(value, Money) else value, MONEY_SCALE)


def _number(value: Any, places: int) -> int | float:
    """A number in units of ``10**-places``. One that lies between two units becomes their midpoint, so that it equals
    neither."""
    if isinstance(value, bool | float):
        value = Decimal(repr(float(value)))
    scaled = Decimal(value).scaleb(places)
    if not scaled.is_finite() or scaled.adjusted() > _MAX_DIGITS:
        raise ValueError
    whole = int(scaled.to_integral_value("ROUND_FLOOR"))
    if abs(whole) >= 2**63:
        return float(whole)
    return whole if scaled == whole else whole + 0.5


def _double(_: Column, value: Any) -> float:
    return float(value)


def _boolean(_: Column, value: Any) -> int:
    if isinstance(value, OptionSetValue):
        value = value.value
    text = str(value).lower()
    if text not in _TRUTHS:
        raise ValueError
    return _TRUTHS[text]


def _date_time(column: Column, value: Any) -> str:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if column.date_only:
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return moment_text(value) + (_LATER_IN_THE_SECOND if value.microsecond else "")


def _choices(_: Column, value: Any) -> str:
    if isinstance(value, tuple):
        return f",{','.join(str(_whole(_, part)) for part in value)},"
    if isinstance(value, str):
        return f",{','.join(str(int(part)) for part in value.split(','))},"
    return f",{_whole(_, value)},"


_OPERANDS: dict[AttributeType, Callable[[Column, Any], int | float | str]] = {
    AttributeType.UNIQUEIDENTIFIER: _identifier,
    AttributeType.STRING: _text,
    AttributeType.MEMO: _text,
    AttributeType.INTEGER: _whole,
    AttributeType.BIG_INT: _whole,
    AttributeType.DECIMAL: _decimal,
    AttributeType.DOUBLE: _double,
    AttributeType.MONEY: _money,
    AttributeType.BOOLEAN: _boolean,
    AttributeType.MANAGED_PROPERTY: _boolean,
    AttributeType.DATE_TIME: _date_time,
    AttributeType.PICKLIST: _whole,
    AttributeType.STATE: _whole,
    AttributeType.STATUS: _whole,
    AttributeType.MULTI_SELECT_PICKLIST: _choices,
    AttributeType.LOOKUP: _identifier,
    AttributeType.CUSTOMER: _identifier,
    AttributeType.OWNER: _identifier,
    AttributeType.FILE: _identifier,
}
