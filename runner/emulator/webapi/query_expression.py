"""Parses a QueryExpression in the JSON of an action into the query model.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/queryexpression
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.emulator.metadata.model import Metadata, Table
from runner.emulator.query.edm import column_value
from runner.emulator.query.model import And, ColumnRef, Condition, Filter, Operator, Or, Query
from runner.emulator.webapi.faults import BadRequest

MAX_DEPTH = 20

_OPERATORS: Mapping[str, Operator] = {
    "Equal": Operator.EQUAL,
    "NotEqual": Operator.NOT_EQUAL,
    "GreaterThan": Operator.GREATER_THAN,
    "GreaterEqual": Operator.GREATER_EQUAL,
    "LessThan": Operator.LESS_THAN,
    "LessEqual": Operator.LESS_EQUAL,
    "Like": Operator.LIKE,
    "NotLike": Operator.NOT_LIKE,
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Between": Operator.BETWEEN,
    "NotBetween": Operator.NOT_BETWEEN,
    "Null": Operator.NULL,
    "NotNull": Operator.NOT_NULL,
    "Contains": Operator.CONTAINS,
    "BeginsWith": Operator.BEGINS_WITH,
    "EndsWith": Operator.ENDS_WITH,
}
_PATTERNS = (Operator.LIKE, Operator.NOT_LIKE)


def read_query_expression(metadata: Metadata, body: Any) -> Query:
    """Parse a QueryExpression into a query of the rows' ids.

    Raises:
      BadRequest: a part of it is missing or not valid. The message names it.
    """
    table = metadata.tables.get(str(_object(body).get("EntityName")))
    if table is None:
        raise BadRequest(f"EntityName '{body.get('EntityName')}' is not a table.")
    if body.get("LinkEntities"):
        raise BadRequest("LinkEntities are not supported here.")
    return Query(table.logical_name, (table.primary_id_attribute,), _filter(table, body.get("Criteria") or {}, 0))


def _filter(table: Table, criteria: Any, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise BadRequest(f"Criteria are nested deeper than {MAX_DEPTH} levels.")
    criteria = _object(criteria)
    conditions = tuple(_condition(table, _object(each)) for each in _list(criteria, "Conditions"))
    filters = tuple(_filter(table, each, depth + 1) for each in _list(criteria, "Filters"))
    return Or((*conditions, *filters)) if criteria.get("FilterOperator") == "Or" else And((*conditions, *filters))


def _condition(table: Table, condition: Mapping[str, Any]) -> Condition:
    name, operator = condition.get("AttributeName"), _OPERATORS.get(str(condition.get("Operator")))
    column = table.columns.get(str(name))
    if column is None or operator is None:
        raise BadRequest(
            f"The condition on '{name}' with operator '{condition.get('Operator')}' does not fit {table.logical_name}."
        )
    values = [each.get("Value") if isinstance(each, dict) else each for each in _list(condition, "Values")]
    try:
        typed = values if operator in _PATTERNS else [column_value(column, each, from_text=True) for each in values]
    except ValueError as error:
        raise BadRequest(f"A value of the condition on '{name}' does not fit: {error}.") from None
    return Condition(ColumnRef(column.logical_name), operator, tuple(typed))


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise BadRequest(f"'{name}' must be a list.")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest("A query expression and its parts must be JSON objects.")
    return value
