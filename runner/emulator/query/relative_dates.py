"""Computes the spans of time that names such as ``LastMonth`` mean, in UTC, with weeks that begin on Sunday.

Fiscal years are calendar years and their periods quarters, the default settings of an environment.

A span is half open: its end is excluded. None as start or end means that there is no limit.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/queryfunctions
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

#: The number of periods (quarters) in a fiscal year.
PERIODS_A_YEAR = 4

Span: TypeAlias = "tuple[datetime | None, datetime | None]"

#: The spans without a number.
FIXED_SPANS: Mapping[str, Callable[[datetime], Span]] = {
    "Yesterday": lambda now: _days(now, -1, 0),
    "Today": lambda now: _days(now, 0, 1),
    "Tomorrow": lambda now: _days(now, 1, 2),
    "Last7Days": lambda now: (_day(now) - timedelta(days=7), _just_after(now)),
    "Next7Days": lambda now: (now, _day(now) + timedelta(days=8)),
    "LastWeek": lambda now: _weeks(now, -1),
    "ThisWeek": lambda now: _weeks(now, 0),
    "NextWeek": lambda now: _weeks(now, 1),
    "LastMonth": lambda now: _months(now, -1),
    "ThisMonth": lambda now: _months(now, 0),
    "NextMonth": lambda now: _months(now, 1),
    "LastYear": lambda now: _years(now, -1),
    "ThisYear": lambda now: _years(now, 0),
    "NextYear": lambda now: _years(now, 1),
    "LastFiscalYear": lambda now: _years(now, -1),
    "ThisFiscalYear": lambda now: _years(now, 0),
    "NextFiscalYear": lambda now: _years(now, 1),
    "LastFiscalPeriod": lambda now: _quarters(now, -1),
    "ThisFiscalPeriod": lambda now: _quarters(now, 0),
    "NextFiscalPeriod": lambda now: _quarters(now, 1),
}

_Shift: TypeAlias = Callable[[datetime, int], datetime]


def _shift_months(moment: datetime, count: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


_SHIFTS: Mapping[str, _Shift] = {
    "Minutes": lambda moment, count: moment + timedelta(minutes=count),
    "Hours": lambda moment, count: moment + timedelta(hours=count),
    "Days": lambda moment, count: moment + timedelta(days=count),
    "Weeks": lambda moment, count: moment + timedelta(weeks=count),
    "Months": _shift_months,
    "Years": lambda moment, count: _shift_months(moment, 12 * count),
}


def shifted(moment: datetime, unit: str, count: int) -> datetime:
    """Add ``count`` Minutes, Hours, Days, Weeks, Months or Years to ``moment``.

    Raises:
      ValueError, OverflowError: the result is outside the calendar.
    """
    return _SHIFTS[unit](moment, count)


_DIRECTIONS = ("Last", "Next", "OlderThan")

#: The spans with a number X, such as LastXDays.
COUNTED_SPANS = frozenset(
    f"{direction}X{unit}"
    for direction in _DIRECTIONS
    for unit in _SHIFTS
    if unit != "Minutes" or direction == "OlderThan"
) | {f"{direction}X{unit}" for direction in ("Last", "Next") for unit in ("FiscalYears", "FiscalPeriods")}


def counted_span(name: str, count: int, now: datetime) -> Span:
    """The span of a name in ``COUNTED_SPANS``.

    Raises:
      ValueError: ``count`` is not positive, or the span is outside the calendar.
    """
    direction, unit = name.split("X", 1)
    if count < 1:
        raise ValueError(f"{name} takes a positive number, not {count}")
    try:
        return _counted(direction, unit, count, now)
    except (OverflowError, ValueError):
        raise ValueError(f"{name} of {count} lies outside the calendar") from None


def _counted(direction: str, unit: str, count: int, now: datetime) -> Span:
    if unit.startswith("Fiscal"):
        return _whole_periods(_years if unit == "FiscalYears" else _quarters, direction, count, now)
    edge = _SHIFTS[unit](now, count if direction == "Next" else -count)
    if direction == "OlderThan":
        return None, edge
    whole = _hour(edge) if unit == "Hours" else _day(edge)
    if direction == "Last":
        return whole, _just_after(now)
    return now, whole + (timedelta(hours=1) if unit == "Hours" else timedelta(days=1))


def _whole_periods(span: Callable[[datetime, int], Span], direction: str, count: int, now: datetime) -> Span:
    """The ``count`` whole periods before, or after, the current one."""
    if direction == "Last":
        return span(now, -count)[0], span(now, 0)[0]
    return span(now, 1)[0], span(now, count)[1]


def fiscal_year(year: int) -> Span:
    """The span of a fiscal year. Raises ValueError when it is outside the calendar."""
    return _years(datetime(year, 1, 1, tzinfo=UTC), 0)


def fiscal_period(year: int, period: int) -> Span:
    """The span of a period (quarter) of a fiscal year. Raises ValueError when there is no such period."""
    if not 1 <= period <= PERIODS_A_YEAR:
        raise ValueError(f"a fiscal year has {PERIODS_A_YEAR} periods, so there is no period {period}")
    return _quarters(datetime(year, 3 * period, 1, tzinfo=UTC), 0)


def day_span(moment: datetime) -> tuple[datetime, datetime]:
    """The day of ``moment``. Raises OverflowError on the last day of the calendar."""
    return _day(moment), _day(moment) + timedelta(days=1)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _just_after(now: datetime) -> datetime:
    # Rows hold whole seconds, and "last" includes the current one.
    return now.replace(microsecond=0) + timedelta(seconds=1)


def _days(now: datetime, first: int, last: int) -> Span:
    return _day(now) + timedelta(days=first), _day(now) + timedelta(days=last)


def _weeks(now: datetime, offset: int) -> Span:
    sunday = _day(now) - timedelta(days=(now.weekday() + 1) % 7) + timedelta(weeks=offset)
    return sunday, sunday + timedelta(weeks=1)


def _months(now: datetime, offset: int) -> Span:
    first = _shift_months(_day(now).replace(day=1), offset)
    return first, _shift_months(first, 1)


def _quarters(now: datetime, offset: int) -> Span:
    first = _shift_months(_day(now).replace(month=(now.month - 1) // 3 * 3 + 1, day=1), 3 * offset)
    return first, _shift_months(first, 3)


def _years(now: datetime, offset: int) -> Span:
    first = _day(now).replace(month=1, day=1)
    return _shift_months(first, 12 * offset), _shift_months(first, 12 * (offset + 1))
