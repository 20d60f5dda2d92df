"""Parses a SELECT in Dataverse's SQL into the query model. Its text never reaches a database.

    >>> read_sql("SELECT TOP 5 name FROM account WHERE revenue > 1000", metadata, now)         # doctest: +SKIP
    Selection(query=Query(entity_name='account', ...), names=('name',))

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/sql
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.model import Aggregate, AliasedColumn, And, ColumnRef, GroupBy, Not, Order, Query
from runner.emulator.query.paging import MAX_PAGE
from runner.emulator.query.sql_conditions import read_condition
from runner.emulator.query.sql_tables import Tables, allow_only, conjuncts, text_of, unsupported

MAX_CONDITIONS = 500
_CLAUSES = ("expressions", "from_", "joins", "where", "group", "order", "limit", "offset", "distinct")
_FUNCTIONS: Mapping[type[exp.Expr], Any] = {
    exp.Count: "countcolumn",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}
_KINDS: Mapping[tuple[str, str], Literal["inner", "outer"]] = {
    ("", ""): "inner",
    ("", "INNER"): "inner",
    ("LEFT", ""): "outer",
    ("LEFT", "OUTER"): "outer",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """A query whose rows are aliased values, and their ``names`` in the order of the SELECT."""

    query: Query
    names: tuple[str, ...]


def read_sql(text: str, metadata: Metadata, now: datetime) -> Selection:
    """Parse a SELECT into a query. ``now`` is the value of GETUTCDATE().

    Raises:
      InvalidArgument: (one of its kinds) it is malformed, names an unknown table or column, or is not supported by
        Dataverse; the message says which.
    """
    try:
        select = _parse(text)
        if sum(1 for _ in select.find_all(exp.Predicate)) > MAX_CONDITIONS:
            raise InvalidArgument("Number of conditions in query exceeded maximum limit.")
        return _Reader(select, Tables(metadata, now)).selection()
    except RecursionError:
        raise InvalidArgument("The SQL query is nested too deeply.") from None


def _parse(text: str) -> exp.Select:
    try:
        parsed = sqlglot.parse(text, dialect="tsql")
    except SqlglotError as error:
        problem = str(error).splitlines()[0] if str(error) else "it is empty"
        raise InvalidArgument(f"The SQL query cannot be read: {problem}") from None
    # After a semicolon, there may be nothing but a comment.
    statements = [each for each in parsed if each is not None and not isinstance(each, exp.Semicolon)] or parsed
    if len(statements) != 1:
        raise unsupported(f"{len(statements)} statements instead of one")
    statement = statements[0]
    if not isinstance(statement, exp.Select):
        construct = f"{statement.key.upper()} ({text_of(statement)})" if statement else "nothing"
        raise unsupported(f"{construct} in place of a SELECT")
    return statement


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of the select list. ``node`` is its expression without the alias."""

    name: str
    node: exp.Expr
    column: ColumnRef | None = None
    aggregate: Aggregate | None = None


class _Reader:
    """Parses one SELECT, clause by clause."""

    def __init__(self, select: exp.Select, tables: Tables) -> None:
        allow_only(select, *_CLAUSES)
        self._select = select
        self._tables = tables
        self._from()
        self._items: list[_Item] = []
        for node in select.expressions:
            self._items.append(self._item(node, {item.name for item in self._items}))
        self._groups = self._group_by()

    def selection(self) -> Selection:
        aggregates = tuple(item.aggregate for item in self._items if item.aggregate)
        is_aggregate = bool(aggregates or self._groups)
        where = self._select.args.get("where")
        query = Query(
            self._tables.root.logical_name,
            columns=(),
            where=read_condition(where.this, self._tables) if where else None,
            links=self._tables.links(),
            aggregates=aggregates,
            group_by=self._groups,
            distinct=self._distinct(is_aggregate),
            aliased=() if is_aggregate else tuple(AliasedColumn(i.column, i.name) for i in self._items if i.column),
        )
        orders = self._orders(is_aggregate)
        return Selection(self._limited(replace(query, orders=orders)), tuple(item.name for item in self._items))

    # --- tables --------------------------------------------------------------------------------------------

    def _from(self) -> None:
        start = self._select.args.get("from_")
        if start is None:
            raise unsupported("a SELECT without FROM")
        self._tables.start(start.this)
        for join in self._select.args.get("joins") or ():
            kind = _KINDS.get((join.side, join.kind))
            allow_only(join, "this", "side", "kind", "on")
            if kind is None or join.args.get("on") is None:
                raise unsupported(f"{join.side or join.kind or 'CROSS'} JOIN")
            joined, others = self._tables.join(join.this, kind, list(conjuncts(join.args["on"])))
            parts = tuple(read_condition(condition, self._tables) for condition in others)
            joined.where = And(parts) if parts else None

    # --- what is selected ----------------------------------------------------------------------------------

    def _item(self, node: exp.Expr, taken: Container[str]) -> _Item:
        alias = node.alias if isinstance(node, exp.Alias) else ""
        inner = node.this if isinstance(node, exp.Alias) else node
        item = self._aggregate(inner, alias) if type(inner) in _FUNCTIONS else self._column(inner, alias, taken)
        if item.name in taken:
            raise InvalidArgument(f"The SQL query selects two columns as '{item.name}': give one an alias.")
        return item

    def _column(self, node: exp.Expr, alias: str, taken: Container[str]) -> _Item:
        if node.is_star:
            raise unsupported("SELECT *; name the columns")
        column = self._tables.column(node)
        qualifier = f"{column.alias}." if column.alias and column.name in taken else ""
        return _Item(alias or f"{qualifier}{column.name}", node, column)

    def _aggregate(self, node: exp.Expr, alias: str) -> _Item:
        function, of = _FUNCTIONS[type(node)], node.this
        if isinstance(of, exp.Star):
            return _Item(alias or "count", node, aggregate=Aggregate("count", None, alias or "count"))
        distinct = isinstance(of, exp.Distinct)
        if distinct and len(of.expressions) != 1:
            raise unsupported(text_of(node))
        column = self._tables.column(of.expressions[0] if distinct else of)
        name = alias or f"{node.key}_{column.name}"
        return _Item(name, node, aggregate=Aggregate(function, column, name, distinct))

    def _group_by(self) -> tuple[GroupBy, ...]:
        group = self._select.args.get("group")
        if group is None:
            self._refuse_ungrouped(())
            return ()
        allow_only(group, "expressions")
        columns = [self._tables.column(node) for node in group.expressions]
        self._refuse_ungrouped(columns)
        selected = [GroupBy(item.column, item.name) for item in self._items if item.column]
        silent = [column for column in columns if column not in {group.column for group in selected}]
        return (*selected, *(GroupBy(column, f"group {n}") for n, column in enumerate(silent)))

    def _refuse_ungrouped(self, columns: Sequence[ColumnRef]) -> None:
        is_aggregate = columns or any(item.aggregate for item in self._items)
        for item in self._items:
            if is_aggregate and item.column and item.column not in columns:
                raise InvalidArgument(
                    f"Column '{item.column.name}' is invalid in the select list because it is not contained in either "
                    "an aggregate function or the GROUP BY clause."
                )

    def _distinct(self, is_aggregate: bool) -> bool:
        distinct = self._select.args.get("distinct")
        if distinct is None:
            return False
        allow_only(distinct)
        if is_aggregate:
            raise unsupported("DISTINCT together with aggregates or GROUP BY")
        return True

    # --- order and limits ----------------------------------------------------------------------------------

    def _orders(self, is_aggregate: bool) -> tuple[Order, ...]:
        order = self._select.args.get("order")
        if order is None:
            return ()
        orders = []
        for node in order.expressions:
            item = self._item_named(node.this)
            column = self._ordered_group(item, node.this) if is_aggregate else self._ordered_column(item, node.this)
            orders.append(Order(column, bool(node.args.get("desc"))))
        return tuple(orders)

    def _item_named(self, node: exp.Expr) -> _Item | None:
        """The item of the select list that an ORDER BY refers to, by position, by name or by the same expression."""
        if isinstance(node, exp.Literal) and node.name.isdecimal():
            position = int(node.name[:9])
            if not 1 <= position <= len(self._items):
                raise InvalidArgument(f"The ORDER BY position number {node.name} is out of range.")
            return self._items[position - 1]
        for item in self._items:
            is_name = isinstance(node, exp.Column) and not node.table and node.name.lower() == item.name.lower()
            if is_name or item.node == node:
                return item
        return None

    def _ordered_group(self, item: _Item | None, node: exp.Expr) -> ColumnRef:
        if item is not None:
            return ColumnRef(item.name)
        column = self._tables.column(node)
        for group in self._groups:
            if group.column == column:
                return ColumnRef(group.alias)
        raise unsupported(f"ORDER BY {text_of(node)}, which is neither selected nor grouped by")

    def _ordered_column(self, item: _Item | None, node: exp.Expr) -> ColumnRef:
        if item is not None and item.column is not None:
            return item.column
        if self._select.args.get("distinct"):
            raise InvalidArgument("ORDER BY items must appear in the select list if SELECT DISTINCT is specified.")
        return self._tables.column(node)

    def _limited(self, query: Query) -> Query:
        limit, offset = self._select.args.get("limit"), self._select.args.get("offset")
        if offset is not None:
            if not query.orders:
                raise unsupported("OFFSET without ORDER BY")
            query = replace(query, offset=_whole(offset.expression, "OFFSET"))
        if limit is None:
            return query
        options = limit.args.get("limit_options")
        if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
            raise unsupported("TOP or FETCH with PERCENT or WITH TIES")
        top = _whole(limit.args.get("count") or limit.expression, "TOP or FETCH")
        if top > MAX_PAGE:
            raise InvalidArgument(f"TOP and FETCH take at most {MAX_PAGE} rows, not {top}.")
        return replace(query, top=top) if top else _of_nothing(query)


def _of_nothing(query: Query) -> Query:
    """A query that returns no rows, for TOP 0: the model asks for at least one row, so its filter matches none."""
    return replace(query, top=1, where=Not(And()), offset=1)


def _whole(node: exp.Expr | None, clause: str) -> int:
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, exp.Literal) or node.is_string or not node.name.isdecimal() or len(node.name) > 9:
        raise unsupported(f"{clause} without a plain number of rows")
    return int(node.name)
