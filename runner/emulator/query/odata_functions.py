"""Makes conditions of the Web API's query functions, such as ``Microsoft.Dynamics.CRM.LastXDays``.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/queryfunctions
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runner.emulator.metadata.model import AttributeType, Column
from runner.emulator.query.date_conditions import FISCAL, counts_hours, in_fiscal, on_spans, within
from runner.emulator.query.edm import column_value, edm_type, read_moment
from runner.emulator.query.model import ColumnRef, Condition, Filter, Operator
from runner.emulator.query.odata_syntax import ODataError, QueryFunction
from runner.emulator.query.relations import LINEAGES, OWNERS
from runner.emulator.query.relative_dates import COUNTED_SPANS, FIXED_SPANS, Span, counted_span
from runner.emulator.query.viewpoint import Viewpoint

_LIST_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Between": Operator.BETWEEN,
    "NotBetween": Operator.NOT_BETWEEN,
}
_IDENTITY_OPERATORS = {
    "EqualUserId": (Operator.EQUAL, "user_id"),
    "NotEqualUserId": (Operator.NOT_EQUAL, "user_id"),
    "EqualBusinessId": (Operator.EQUAL, "business_unit_id"),
    "NotEqualBusinessId": (Operator.NOT_EQUAL, "business_unit_id"),
    # Both spellings occur in Microsoft's documentation.
    "NotUserId": (Operator.NOT_EQUAL, "user_id"),
    "NotBusinessId": (Operator.NOT_EQUAL, "business_unit_id"),
    "EqualUserLanguage": (Operator.EQUAL, "language"),
}


def function_condition(call: QueryFunction, ref: ColumnRef, column: Column, viewpoint: Viewpoint) -> Filter:
    """The condition that a query function sets on a column.

    Raises:
      ODataError: there is no such function, or the column or an argument does not fit it.
    """
    if call.name in _LIST_OPERATORS:
        return _list_condition(call, ref, column)
    if call.name in _IDENTITY_OPERATORS:
        operator, identity = _IDENTITY_OPERATORS[call.name]
        return Condition(ref, operator, (getattr(viewpoint, identity),))
    if call.name in OWNERS:
        return OWNERS[call.name](ref, viewpoint.user_id)
    if call.name in LINEAGES:
        return LINEAGES[call.name](ref, str(call.arguments.get("PropertyValue")))
    if call.name in ("ContainValues", "DoesNotContainValues"):
        return _choices_condition(call, ref, column)
    return _date_condition(call, ref, column, viewpoint.now)


def _values(call: QueryFunction, column: Column) -> tuple[Any, ...]:
    values = call.arguments.get("PropertyValues")
    if not isinstance(values, list) or not values:
        raise ODataError(f'{call.name} needs PropertyValues=["...", ...].')
    try:
        return tuple(column_value(column, value, from_text=True) for value in values)
    except ValueError as error:
        raise ODataError(f"{call.name} of '{column.logical_name}', {edm_type(column)}: {error}.") from None


def _list_condition(call: QueryFunction, ref: ColumnRef, column: Column) -> Condition:
    values = _values(call, column)
    if call.name.endswith("Between") and len(values) != 2:
        raise ODataError(f"{call.name} needs two PropertyValues, not {len(values)}.")
    return Condition(ref, _LIST_OPERATORS[call.name], values)


def _choices_condition(call: QueryFunction, ref: ColumnRef, column: Column) -> Filter:
    if column.type is not AttributeType.MULTI_SELECT_PICKLIST:
        raise ODataError(f"{call.name} needs a multi-select choice, and '{column.logical_name}' is not one.")
    operator = Operator.CONTAIN_VALUES if call.name == "ContainValues" else Operator.NOT_CONTAIN_VALUES
    return Condition(ref, operator, _values(call, column))


def _date_condition(call: QueryFunction, ref: ColumnRef, column: Column, now: datetime) -> Filter:
    if column.type is not AttributeType.DATE_TIME or (column.date_only and counts_hours(call.name)):
        raise ODataError(f"{call.name} is unknown, or does not fit '{column.logical_name}', {edm_type(column)}.")
    if call.name in FIXED_SPANS:
        return within(ref, column, FIXED_SPANS[call.name](now))
    if call.name in COUNTED_SPANS:
        return within(ref, column, _counted_span(call, now))
    if call.name in FISCAL:
        return _fiscal_condition(call, ref, column)
    return within(ref, column, _on_span(call))


def _counted_span(call: QueryFunction, now: datetime) -> Span:
    try:
        return counted_span(call.name, int(call.arguments.get("PropertyValue") or 0), now)
    except (ValueError, TypeError) as error:
        raise ODataError(f"{call.name} needs PropertyValue, a positive whole number: {error}.") from None


def _fiscal_condition(call: QueryFunction, ref: ColumnRef, column: Column) -> Filter:
    names = ("PropertyValue",) if FISCAL[call.name] == 1 else ("PropertyValue1", "PropertyValue2")
    try:
        return in_fiscal(call.name, ref, column, [int(call.arguments[name]) for name in names])
    except (KeyError, TypeError, ValueError) as error:
        raise ODataError(f"{call.name} needs {' and '.join(names)}, whole numbers: {error}.") from None


def _on_span(call: QueryFunction) -> Span:
    try:
        spans = on_spans(read_moment(call.arguments.get("PropertyValue")))
    except (ValueError, OverflowError):
        raise ODataError(f"{call.name} is unknown, or needs PropertyValue, a date.") from None
    if call.name not in spans:
        raise ODataError(f"The function Microsoft.Dynamics.CRM.{call.name} is not supported.")
    return spans[call.name]
