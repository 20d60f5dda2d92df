"""Columns as OData properties: their names, types and values.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-properties
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from dataverse_client.types import guid
from runner.emulator.metadata.model import LOOKUP_TYPES, AttributeType, Column, Table
from runner.emulator.query.odata_syntax import ODataError, read_datetime

TEXT_TYPES = frozenset({AttributeType.STRING, AttributeType.MEMO, AttributeType.MULTI_SELECT_PICKLIST})

_EDM_TYPES = {
    AttributeType.UNIQUEIDENTIFIER: "Edm.Guid",
    AttributeType.FILE: "Edm.Guid",
    **dict.fromkeys(LOOKUP_TYPES, "Edm.Guid"),
    **dict.fromkeys(TEXT_TYPES, "Edm.String"),
    AttributeType.BOOLEAN: "Edm.Boolean",
    AttributeType.MANAGED_PROPERTY: "Edm.Boolean",
    AttributeType.DATE_TIME: "Edm.DateTimeOffset",
    AttributeType.BIG_INT: "Edm.Int64",
    AttributeType.DECIMAL: "Edm.Decimal",
    AttributeType.MONEY: "Edm.Decimal",
    AttributeType.DOUBLE: "Edm.Double",
}


def edm_type(column: Column) -> str:
    """The OData type of the column's values, such as ``Edm.Guid``. Choices are ``Edm.Int32``."""
    return "Edm.Date" if column.date_only else _EDM_TYPES.get(column.type, "Edm.Int32")


def unknown_property(table: Table, name: str) -> ODataError:
    return ODataError(
        f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.logical_name}'."
    )


def property_name(column: Column) -> str:
    """The column's name in OData: ``_x_value`` for a lookup, its logical name otherwise."""
    return f"_{column.logical_name}_value" if column.is_lookup else column.logical_name


def column_named(table: Table, name: str) -> Column | None:
    """The column whose :func:`property_name` is ``name``."""
    is_lookup = name.startswith("_") and name.endswith("_value")
    column = table.columns.get(name[1:-6] if is_lookup else name)
    return column if column is not None and column.is_lookup == is_lookup else None


def managed_property(table: Table, path: Sequence[str]) -> Column | None:
    """The managed property that a path such as ``iscustomizable/Value`` refers to; None for any other path."""
    column = table.columns.get(path[0]) if len(path) == 2 and path[1] == "Value" else None
    return column if column is not None and column.type is AttributeType.MANAGED_PROPERTY else None


def column_value(column: Column, value: Any, *, from_text: bool = False) -> Any:
    """Convert ``value`` to a plain value of the column: an amount to Decimal, a choice to int, a lookup to an id.

    With ``from_text``, numbers and booleans may also be given as text.

    Raises:
      ValueError: it does not fit the column.
    """
    return value_reader(column, from_text=from_text)(value)


def value_reader(column: Column, *, from_text: bool = False) -> Callable[[Any], Any]:
    """The function that does what :func:`column_value` does, for many values of one column."""
    expected = edm_type(column)
    if expected == "Edm.Boolean":
        return partial(_boolean, from_text=from_text)
    if expected in ("Edm.DateTimeOffset", "Edm.Date"):
        return read_day if column.date_only else read_moment
    if expected == "Edm.String":
        return _text
    if expected == "Edm.Guid":
        return _guid
    return partial(_number, from_text=from_text, whole=expected in ("Edm.Int32", "Edm.Int64"))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")  # noqa: TRY004  # a caller's mistake, not a programmer's
    return value


def _guid(value: object) -> str:
    return guid(_text(value))


def read_moment(value: object) -> datetime:
    """A datetime, date, or the text form of either, as an aware UTC datetime. Raises ValueError."""
    known = _date_or_datetime(value)
    return known if isinstance(known, datetime) else datetime(known.year, known.month, known.day, tzinfo=UTC)


def read_day(value: object) -> date:
    """A date, datetime, or the text form of either, as a date. Raises ValueError."""
    known = _date_or_datetime(value)
    return known.date() if isinstance(known, datetime) else known


def _date_or_datetime(value: object) -> date:
    known = read_datetime(value) if isinstance(value, str) else value
    if not isinstance(known, date):
        raise ValueError(f"{value!r} is not a date")  # noqa: TRY004  # a caller's mistake, not a programmer's
    return known


_BOOLEAN_WORDS = {"true": True, "1": True, "false": False, "0": False}


def _boolean(value: object, *, from_text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if from_text and str(value).lower() in _BOOLEAN_WORDS:
        return _BOOLEAN_WORDS[str(value).lower()]
    raise ValueError(f"{value!r} is not true or false")


def _number(value: object, *, from_text: bool, whole: bool) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str) if from_text else (int, Decimal)):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004  # as above
    try:
        number = value if isinstance(value, Decimal) else Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    # Larger than any column allows: expanding an exponent such as 1e999999999 would exhaust memory.
    if not number.is_finite() or abs(number.as_tuple().exponent) > 40 or number.adjusted() > 30:  # type: ignore[arg-type]
        raise ValueError(f"{value!r} is out of range")
    if whole and number != int(number):
        raise ValueError(f"{value!r} is out of range")
    return int(number) if whole else number
