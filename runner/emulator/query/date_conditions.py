"""Conditions that name a period of time, such as "last month" or "on that day"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from runner.emulator.metadata.model import Column
from runner.emulator.query.model import And, ColumnRef, Condition, Filter, InFiscalPeriod, Operator
from runner.emulator.query.relative_dates import Span, day_span, fiscal_period, fiscal_year

#: Operators that name a fiscal year or period, and how many numbers they take; the period comes first.
FISCAL: Mapping[str, int] = {
    "InFiscalYear": 1,
    "InFiscalPeriod": 1,
    "InFiscalPeriodAndYear": 2,
    "InOrAfterFiscalPeriodAndYear": 2,
    "InOrBeforeFiscalPeriodAndYear": 2,
}


def counts_hours(name: str) -> bool:
    """Whether the operator counts hours or minutes, so that it does not fit a column of dates without a time.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/operators#last-x-hours
    """
    return name.endswith(("XHours", "XMinutes"))


def within(ref: ColumnRef, column: Column, span: Span) -> Filter:
    """The filter "the column lies in the span", which is false for a row without a value."""
    start, end = _in_days(span) if column.date_only else span
    parts = []
    if start is not None:
        parts.append(Condition(ref, Operator.GREATER_EQUAL, (start,)))
    if end is not None:
        parts.append(Condition(ref, Operator.LESS_THAN, (end,)))
    return And(tuple(parts))


def _in_days(span: Span) -> tuple[date | None, date | None]:
    """The span in whole days. One that ends in the course of a day includes that day, as "last seven days" does today.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator
    """
    start, end = span
    if start is not None and end is not None and end.time() != time.min:
        end += timedelta(days=1)
    return start and start.date(), end and end.date()


def on_spans(moment: datetime) -> Mapping[str, Span]:
    """The spans of ``On``, ``OnOrBefore`` and ``OnOrAfter`` the day of ``moment``.

    Raises:
      OverflowError: it is the last day of the calendar.
    """
    start, end = day_span(moment)
    return {"On": (start, end), "OnOrBefore": (None, end), "OnOrAfter": (start, None)}


def in_fiscal(name: str, ref: ColumnRef, column: Column, numbers: Sequence[int]) -> Filter:
    """The filter of an operator in ``FISCAL``. Raises ValueError when there is no such year or period."""
    if name == "InFiscalPeriod":
        return InFiscalPeriod(ref, numbers[0])
    if name == "InFiscalYear":
        return within(ref, column, fiscal_year(numbers[0]))
    start, end = fiscal_period(numbers[1], numbers[0])
    spans = {"InOrAfterFiscalPeriodAndYear": (start, None), "InOrBeforeFiscalPeriodAndYear": (None, end)}
    return within(ref, column, spans.get(name, (start, end)))
