"""What "last month" and its kin mean: spans of time seen from a moment, in UTC, weeks beginning on Sunday.

The fiscal year is the calendar's and its periods are quarters, as in an environment where nobody has set another.

A span is half open: from its first instant up to, but not including, its last. None leaves that side open.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/queryfunctions
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

#: The quarters of a fiscal year.
PERIODS_A_YEAR = 4

Span: TypeAlias = "tuple[datetime | None, datetime | None]"

#: Names that need no number.
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
    """``moment`` so many Minutes, Hours, Days, Weeks, Months or Years later.

    Raises:
      ValueError, OverflowError: that leads out of the calendar.
    """
    return _SHIFTS[unit](moment, count)


_DIRECTIONS = ("Last", "Next", "OlderThan")

#: Names that take a number X, such as LastXDays.
COUNTED_SPANS = frozenset(
    f"{direction}X{unit}"
    for direction in _DIRECTIONS
    for unit in _SHIFTS
    if unit != "Minutes" or direction == "OlderThan"
) | {f"{direction}X{unit}" for direction in ("Last", "Next") for unit in ("FiscalYears", "FiscalPeriods")}


def counted_span(name: str, count: int, now: datetime) -> Span:
    """The span of a name in ``COUNTED_SPANS``.

    Raises:
      ValueError: ``count`` is not positive, or leads out of the calendar.
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
    """The periods before, or after, the one ``now`` lies in."""
    if direction == "Last":
        return span(now, -count)[0], span(now, 0)[0]
    return span(now, 1)[0], span(now, count)[1]


def fiscal_year(year: int) -> Span:
    """Raises ValueError: no calendar has that year."""
    return _years(datetime(year, 1, 1, tzinfo=UTC), 0)


def fiscal_period(year: int, period: int) -> Span:
    """A quarter of a year. Raises ValueError: there is none."""
    if not 1 <= period <= PERIODS_A_YEAR:
        raise ValueError(f"a fiscal year has {PERIODS_A_YEAR} periods, and no period {period}")
    return _quarters(datetime(year, 3 * period, 1, tzinfo=UTC), 0)


def day_span(moment: datetime) -> tuple[datetime, datetime]:
    """The day ``moment`` lies in. Raises OverflowError on the last day of the calendar."""
    return _day(moment), _day(moment) + timedelta(days=1)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _just_after(now: datetime) -> datetime:
    # Rows carry whole seconds; the current one belongs to the past that "last" speaks of.
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
