"""Evaluates ``DATEADD`` and ``GETUTCDATE`` of a SELECT while parsing, as their arguments can only be constants.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/sql#using-dateadd-and-getutcdate-functions
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlglot import exp

from runner.emulator.errors import InvalidArgument
from runner.emulator.query.relative_dates import shifted
from runner.emulator.query.sql_tables import text_of, unsupported

_NOW = "GETUTCDATE"
#: T-SQL's date parts and their abbreviations, as units of :func:`shifted`.
_PARTS: Mapping[str, tuple[str, int]] = {
    name: unit
    for names, unit in (
        (("YEAR", "YY", "YYYY"), ("Years", 1)),
        (("QUARTER", "QQ", "Q"), ("Months", 3)),
        (("MONTH", "MM", "M"), ("Months", 1)),
        (("WEEK", "WK", "WW"), ("Weeks", 1)),
        (("DAY", "DD", "D", "DAYOFYEAR", "DY", "Y", "WEEKDAY", "DW", "W"), ("Days", 1)),
        (("HOUR", "HH"), ("Hours", 1)),
        (("MINUTE", "MI", "N"), ("Minutes", 1)),
    )
    for name in names
}


def is_date_function(node: exp.Expr) -> bool:
    return isinstance(node, exp.DateAdd) or (isinstance(node, exp.Anonymous) and node.name.upper() == _NOW)


def moment_of(node: exp.Expr, now: datetime) -> datetime:
    """Evaluate a date function or a date literal.

    Raises:
      InvalidArgument: it uses a column or an unknown date part, or the result is outside the calendar.
    """
    if isinstance(node, exp.DateAdd):
        return _added(node, moment_of(node.this, now))
    if is_date_function(node):
        return now
    if not isinstance(node, exp.Literal | exp.National):
        raise unsupported(f"{text_of(node)} in place of a date")
    try:
        moment = datetime.fromisoformat(node.name)
    except ValueError:
        raise InvalidArgument(f"'{node.name}' is not a date.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _added(node: exp.DateAdd, moment: datetime) -> datetime:
    part = node.args["unit"].name.upper() if node.args.get("unit") else ""
    if part not in _PARTS:
        raise unsupported(f"the date part {part} in {text_of(node)}")
    unit, size = _PARTS[part]
    try:
        return shifted(moment, unit, size * _number(node.expression))
    except (ValueError, OverflowError):
        raise InvalidArgument(f"{text_of(node)} is outside the calendar.") from None


def _number(node: exp.Expr) -> int:
    sign, literal = (-1, node.this) if isinstance(node, exp.Neg) else (1, node)
    if not isinstance(literal, exp.Literal) or not literal.name.isdecimal() or len(literal.name) > 9:
        raise unsupported(f"{text_of(node)} in place of a whole number")
    return sign * int(literal.name)
