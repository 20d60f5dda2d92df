"""Parses the conditions of FetchXML, including operators relative to the time and to the caller.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/operators
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference
from runner.emulator.metadata.model import AttributeType, Column
from runner.emulator.query.date_conditions import FISCAL, counts_hours, in_fiscal, on_spans, within
from runner.emulator.query.fetchxml_elements import BAD_CONDITION, INVALID_OPERATOR, INVALID_VALUE, refusal, required
from runner.emulator.query.model import COMPARING_COLUMNS, ColumnRef, Condition, Filter, Operator
from runner.emulator.query.relations import LINEAGES, OWNERS
from runner.emulator.query.relative_dates import COUNTED_SPANS, FIXED_SPANS, Span, counted_span
from runner.emulator.query.viewpoint import Viewpoint

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ALIKE = {"neq": Operator.NOT_EQUAL}
_LISTS = frozenset({Operator.IN, Operator.NOT_IN, Operator.CONTAIN_VALUES, Operator.NOT_CONTAIN_VALUES})
_VALUE_COUNTS = {Operator.NULL: 0, Operator.NOT_NULL: 0, Operator.BETWEEN: 2, Operator.NOT_BETWEEN: 2}
#: Operators of the query model that FetchXML does not have; it uses patterns instead.
_NOT_FETCHXML = frozenset({Operator.CONTAINS, Operator.NOT_CONTAINS})
_OPERATORS: Mapping[str, Operator] = {
    **{operator.value: operator for operator in Operator if operator not in _NOT_FETCHXML},
    **_ALIKE,
}
_IDENTITIES = {
    "eq-userid": (Operator.EQUAL, "user_id"),
    "ne-userid": (Operator.NOT_EQUAL, "user_id"),
    "eq-businessid": (Operator.EQUAL, "business_unit_id"),
    "ne-businessid": (Operator.NOT_EQUAL, "business_unit_id"),
    "eq-userlanguage": (Operator.EQUAL, "language"),
}
_OWNERS = {
    "eq-userteams": OWNERS["EqualUserTeams"],
    "eq-useroruserteams": OWNERS["EqualUserOrUserTeams"],
    "eq-useroruserhierarchy": OWNERS["EqualUserOrUserHierarchy"],
    "eq-useroruserhierarchyandteams": OWNERS["EqualUserOrUserHierarchyAndTeams"],
}
_LINEAGES = {
    "above": LINEAGES["Above"],
    "eq-or-above": LINEAGES["AboveOrEqual"],
    "under": LINEAGES["Under"],
    "eq-or-under": LINEAGES["UnderOrEqual"],
    "not-under": LINEAGES["NotUnder"],
}


def _fetchxml_name(name: str) -> str:
    """``LastXHours`` is ``last-x-hours``, ``OlderThanXDays`` is ``olderthan-x-days``."""
    name = name.replace("7", "Seven").replace("OlderThan", "Olderthan")
    return re.sub("(?<!^)(?=[A-Z])", "-", name).lower()


_FIXED = {_fetchxml_name(name): name for name in FIXED_SPANS}
_COUNTED = {_fetchxml_name(name): name for name in COUNTED_SPANS}
_FISCAL = {_fetchxml_name(name): name for name in FISCAL}
_ON = {"on": "On", "on-or-before": "OnOrBefore", "on-or-after": "OnOrAfter"}


def read_condition(
    element: Element, ref: ColumnRef, column: Column, other: ColumnRef | None, viewpoint: Viewpoint
) -> Filter:
    """Parse a ``condition`` on the column ``ref``; ``other`` is the column that its ``valueof`` names.

    Raises:
      InvalidArgument: the operator is unknown, does not fit the column, or has the wrong number of values.
    """
    name = required(element, "operator")
    if name in _OPERATORS:
        return _comparison(element, ref, _OPERATORS[name], other)
    return relative_condition(name, _values(element), ref, column, viewpoint)


def relative_condition(
    name: str, values: tuple[Any, ...], ref: ColumnRef, column: Column, viewpoint: Viewpoint
) -> Filter:
    """The filter of an operator relative to the user, to the time, or to a row of a hierarchy.

    Raises:
      InvalidArgument: the operator is unknown, does not fit the column, or has the wrong number of values.
    """
    if name in _IDENTITIES:
        operator, identity = _IDENTITIES[name]
        return Condition(ref, operator, (getattr(viewpoint, identity),))
    if name in _OWNERS:
        return _OWNERS[name](ref, viewpoint.user_id)
    if name in _LINEAGES:
        (row,) = _counted(values, name, ref, 1)
        return _LINEAGES[name](ref, row.id if isinstance(row, EntityReference) else row)
    return _on_dates(values, name, ref, column, viewpoint.now)


def _on_dates(values: tuple[Any, ...], name: str, ref: ColumnRef, column: Column, now: datetime) -> Filter:
    if not any(name in names for names in (_FIXED, _COUNTED, _FISCAL, _ON)):
        raise refusal(INVALID_OPERATOR, f"The condition operator '{name}' on '{ref.name}' is not supported here.")
    if column.type is not AttributeType.DATE_TIME:
        raise refusal(
            INVALID_OPERATOR, f"The condition operator '{name}' needs a date; '{ref.name}' is {column.type.value}."
        )
    if column.date_only and counts_hours(_COUNTED.get(name, "")):
        raise refusal(INVALID_OPERATOR, f"The condition operator '{name}' needs a time; '{ref.name}' is a date only.")
    if name in _FISCAL:
        return _fiscal(values, name, ref, column)
    return within(ref, column, _span(values, name, ref, now))


def _comparison(element: Element, ref: ColumnRef, operator: Operator, other: ColumnRef | None) -> Condition:
    if other is not None:
        if operator not in COMPARING_COLUMNS:
            raise refusal(INVALID_OPERATOR, f"The operator '{operator.value}' on '{ref.name}' cannot take valueof.")
        return Condition(ref, operator, (other,))
    values = _values(element)
    wanted = _VALUE_COUNTS.get(operator, 1)
    if operator in _LISTS:
        if not values:
            raise refusal(BAD_CONDITION, f"The operator '{operator.value}' on '{ref.name}' needs at least one value.")
    else:
        values = _counted(values, operator.value, ref, wanted)
    return Condition(ref, operator, values)


def _values(element: Element) -> tuple[str, ...]:
    own = element.get("value")
    return (*(() if own is None else (own,)), *((child.text or "").strip() for child in element))


def _counted(values: tuple[Any, ...], operator: str, ref: ColumnRef, count: int) -> tuple[Any, ...]:
    """The values. Raises InvalidArgument unless there are ``count`` of them."""
    if len(values) != count:
        raise refusal(
            BAD_CONDITION, f"The operator '{operator}' on '{ref.name}' takes {count} value(s), not {len(values)}."
        )
    return values


def _fiscal(values: tuple[Any, ...], operator: str, ref: ColumnRef, column: Column) -> Filter:
    name = _FISCAL[operator]
    values = _counted(values, operator, ref, FISCAL[name])
    try:
        return in_fiscal(name, ref, column, [int(value) for value in values])
    except (ValueError, TypeError) as error:
        raise refusal(INVALID_VALUE, f"The operator '{operator}' on '{ref.name}': {error}.") from None


def _span(values: tuple[Any, ...], operator: str, ref: ColumnRef, now: datetime) -> Span:
    if operator in _FIXED:
        return FIXED_SPANS[_FIXED[operator]](now)
    (value,) = _counted(values, operator, ref, 1)
    try:
        if operator in _COUNTED:
            return counted_span(_COUNTED[operator], int(value), now)
        return on_spans(_moment(value))[_ON[operator]]
    except (ValueError, OverflowError, TypeError):
        kind = "a whole number above 0, within the calendar" if operator in _COUNTED else "a date"
        raise refusal(
            INVALID_VALUE, f"The operator '{operator}' on '{ref.name}' takes {kind}, not '{value}'."
        ) from None


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
