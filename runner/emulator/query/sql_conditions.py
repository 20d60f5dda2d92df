"""Parses the conditions of a SELECT into filters of the query model.

In SQL, a comparison with NULL is unknown, and so is its negation. Negations are therefore moved inwards until they
become operators such as ``ne``, which are then false for rows without a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sqlglot import exp

from runner.emulator.query.model import And, ColumnRef, Condition, Filter, Operator, Or
from runner.emulator.query.sql_dates import is_date_function, moment_of
from runner.emulator.query.sql_tables import Tables, allow_only, text_of, unsupported

_COMPARISONS: Mapping[type[exp.Expr], Operator] = {
    exp.EQ: Operator.EQUAL,
    exp.NEQ: Operator.NOT_EQUAL,
    exp.GT: Operator.GREATER_THAN,
    exp.GTE: Operator.GREATER_EQUAL,
    exp.LT: Operator.LESS_THAN,
    exp.LTE: Operator.LESS_EQUAL,
}
_NEGATIONS = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.GREATER_THAN: Operator.LESS_EQUAL,
    Operator.LESS_THAN: Operator.GREATER_EQUAL,
    Operator.LIKE: Operator.NOT_LIKE,
    Operator.IN: Operator.NOT_IN,
    Operator.BETWEEN: Operator.NOT_BETWEEN,
    Operator.NULL: Operator.NOT_NULL,
}
_NEGATIONS |= {negative: positive for positive, negative in _NEGATIONS.items()}
#: The same comparison with its sides exchanged.
_FLIPPED = {
    Operator.GREATER_THAN: Operator.LESS_THAN,
    Operator.LESS_THAN: Operator.GREATER_THAN,
    Operator.GREATER_EQUAL: Operator.LESS_EQUAL,
    Operator.LESS_EQUAL: Operator.GREATER_EQUAL,
}
#: In the query model these are true for rows without a value.
_HOLDING_FOR_NULL = frozenset({Operator.NOT_EQUAL, Operator.NOT_LIKE, Operator.NOT_IN})


def read_condition(node: exp.Expr, tables: Tables, *, negated: bool = False) -> Filter:
    """Parse a condition, or its negation.

    Raises:
      InvalidArgument: (one of its kinds) a name is unknown, or Dataverse does not support the condition.
    """
    if isinstance(node, exp.Paren):
        return read_condition(node.this, tables, negated=negated)
    if isinstance(node, exp.Not):
        return read_condition(node.this, tables, negated=not negated)
    if isinstance(node, exp.And | exp.Or):
        parts = tuple(read_condition(part, tables, negated=negated) for part in node.flatten(unnest=False))
        return And(parts) if isinstance(node, exp.And) is not negated else Or(parts)
    if type(node) in _COMPARISONS:
        return _comparison(node, tables, negated)
    if type(node) in _READERS:
        ref, operator, values = _READERS[type(node)](node, tables)
        return _condition(ref, _NEGATIONS[operator] if negated else operator, values)
    raise unsupported(text_of(node))


def _condition(ref: ColumnRef, operator: Operator, values: tuple[str, ...]) -> Filter:
    condition = Condition(ref, operator, values)
    if operator not in _HOLDING_FOR_NULL:
        return condition
    return And((Condition(ref, Operator.NOT_NULL), condition))


def _comparison(node: exp.Expr, tables: Tables, negated: bool) -> Filter:
    operator = _COMPARISONS[type(node)]
    left, right = node.this, node.expression
    if not isinstance(left, exp.Column):
        left, right, operator = right, left, _FLIPPED.get(operator, operator)
    ref = tables.column(left)
    if isinstance(right, exp.Column):
        raise unsupported(f"{text_of(node)}, which compares two columns,")
    return _condition(ref, _NEGATIONS[operator] if negated else operator, (value_of(right, tables),))


_Read: TypeAlias = "tuple[ColumnRef, Operator, tuple[str, ...]]"


def _null(node: exp.Expr, tables: Tables) -> _Read:
    if not isinstance(node.expression, exp.Null):
        raise unsupported(text_of(node))
    return tables.column(node.this), Operator.NULL, ()


def _like(node: exp.Expr, tables: Tables) -> _Read:
    operator = Operator.NOT_LIKE if node.args.get("negate") else Operator.LIKE
    return tables.column(node.this), operator, (value_of(node.expression, tables),)


def _in(node: exp.Expr, tables: Tables) -> _Read:
    if node.args.get("query"):
        raise unsupported(f"a sub-query: {text_of(node)}")
    allow_only(node, "this", "expressions")
    return tables.column(node.this), Operator.IN, tuple(value_of(item, tables) for item in node.expressions)


def _between(node: exp.Expr, tables: Tables) -> _Read:
    allow_only(node, "this", "low", "high")
    return (
        tables.column(node.this),
        Operator.BETWEEN,
        (value_of(node.args["low"], tables), value_of(node.args["high"], tables)),
    )


_READERS: Mapping[type[exp.Expr], Callable[[exp.Expr, Tables], _Read]] = {
    exp.Is: _null,
    exp.Like: _like,
    exp.In: _in,
    exp.Between: _between,
}


def value_of(node: exp.Expr, tables: Tables) -> str:
    """The value of a literal or a date function, as text that each column type can read.

    Raises InvalidArgument.
    """
    if is_date_function(node):
        return moment_of(node, tables.now).isoformat()
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return f"-{node.this.name}"
    if isinstance(node, exp.Null):
        raise unsupported("a comparison with NULL, which no row satisfies; write IS NULL or IS NOT NULL")
    if not isinstance(node, exp.Literal | exp.National):
        raise unsupported(f"{text_of(node)} in place of a value")
    return node.name
