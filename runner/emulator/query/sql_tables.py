"""Resolves the table and column names of a SELECT, and its joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlglot import exp

from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument
from runner.emulator.metadata.model import Metadata, Table
from runner.emulator.query.model import ColumnRef, Filter, Link
from runner.emulator.query.name_columns import queried_column


def unsupported(construct: str) -> InvalidArgument:
    """The error for a construct that Dataverse's SQL does not support."""
    return InvalidArgument(
        f"The SQL query is not supported: {construct}. Use SELECT of columns and of COUNT, SUM, AVG, MIN and MAX, "
        "INNER and LEFT JOIN on equal columns, WHERE, GROUP BY, ORDER BY, TOP and OFFSET ... FETCH."
    )


def text_of(node: exp.Expr) -> str:
    """The node as SQL, shortened for a message."""
    text = node.sql(dialect="tsql")
    return text if len(text) <= 60 else f"{text[:60]}..."


def allow_only(node: exp.Expr, *names: str) -> None:
    """Raises InvalidArgument when the node has other parts than those named."""
    for name, value in node.args.items():
        if value and name not in names:
            raise unsupported(f"{name.strip('_').upper()} in {text_of(node)}")


@dataclass(frozen=True, slots=True)
class _Source:
    """A table and its name in the query. ``alias`` is None for the table after FROM."""

    table: Table
    alias: str | None


@dataclass(slots=True)
class Join:
    """A source joined on its column ``own``, which equals the column ``parent``. ``where`` filters the joined rows."""

    source: _Source
    kind: Literal["inner", "outer"]
    own: str
    parent: ColumnRef
    where: Filter | None = None


@dataclass(slots=True)
class Tables:
    """The sources of one SELECT by name. Names in SQL are case-insensitive."""

    metadata: Metadata
    #: The value of GETUTCDATE().
    now: datetime
    sources: dict[str, _Source] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)

    @property
    def root(self) -> Table:
        return next(iter(self.sources.values())).table

    def start(self, node: exp.Expr) -> None:
        """Add the table after FROM."""
        name, table = self._read(node)
        self.sources[name] = _Source(table, None)

    def join(self, node: exp.Expr, kind: Literal["inner", "outer"], on: list[exp.Expr]) -> tuple[Join, list[exp.Expr]]:
        """Join a table, by the first of the conditions ``on`` that makes its column equal another's.

        Returns the join and the remaining conditions, which must filter the new table.
        """
        name, table = self._read(node)
        if name in self.sources:
            raise InvalidArgument(f"The SQL query uses the table name '{name}' twice: give one of them an alias.")
        source = self.sources[name] = _Source(table, name)
        for position, condition in enumerate(on):
            pair = self._pair(condition, name)
            if pair is not None:
                own, parent = pair
                join = Join(source, kind, own.name, parent)
                self.joins.append(join)
                return join, [self._about(name, each) for each in (*on[:position], *on[position + 1 :])]
        raise unsupported(
            f"the JOIN of {name} without ON ... = ... between a column of it and one of a table before it"
        )

    def _about(self, name: str, condition: exp.Expr) -> exp.Expr:
        """Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/sql#additional-on-filters"""
        if any(self.column(column).alias != name for column in condition.find_all(exp.Column)):
            raise unsupported(f"{text_of(condition)} after the ON of {name}, which filters another table,")
        return condition

    def _pair(self, node: exp.Expr, name: str) -> tuple[ColumnRef, ColumnRef] | None:
        if not isinstance(node, exp.EQ):
            return None
        sides = (node.this, node.expression)
        if not all(isinstance(side, exp.Column) for side in sides):
            return None
        left, right = (self.column(side) for side in sides)
        if (left.alias == name) == (right.alias == name):
            return None
        return (left, right) if left.alias == name else (right, left)

    def _read(self, node: exp.Expr) -> tuple[str, Table]:
        if not isinstance(node, exp.Table):
            raise unsupported(f"{text_of(node)} in place of a table")
        allow_only(node, "this", "db", "alias")
        if node.db.lower() not in ("", "dbo"):
            raise unsupported(f"the schema {node.db}")
        logical_name = node.name.lower()
        if logical_name not in self.metadata.tables:
            raise EntityNotFound.named(logical_name)
        return (node.alias or logical_name).lower(), self.metadata.tables[logical_name]

    def links(self, parent: str | None = None) -> tuple[Link, ...]:
        """The joins as a tree, each under the table that it joins."""
        return tuple(self._link(join) for join in self.joins if join.parent.alias == parent)

    def _link(self, join: Join) -> Link:
        source = join.source
        return Link(
            source.table.logical_name,
            join.own,
            join.parent.name,
            source.alias or "",
            join.kind,
            where=join.where,
            links=self.links(source.alias),
        )

    def column(self, node: exp.Expr) -> ColumnRef:
        """The column that a name refers to.

        Raises:
          InvalidArgument: (one of its kinds) it is not a plain name, or it is unknown or ambiguous.
        """
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            raise unsupported(f"{text_of(node)} in place of a column")
        allow_only(node, "this", "table")
        name = node.name.lower()
        if node.table:
            return self._qualified(node.table.lower(), name)
        found = [source for source in self.sources.values() if queried_column(source.table, name)]
        if len(found) > 1:
            raise InvalidArgument(f"Ambiguous column name '{name}': put the table's name before it.")
        if not found:
            raise AttributeNotFound.named(self.root.logical_name, name)
        return ColumnRef(name, found[0].alias)

    def _qualified(self, source_name: str, name: str) -> ColumnRef:
        source = self.sources.get(source_name)
        if source is None:
            raise InvalidArgument(f'The multi-part identifier "{source_name}.{name}" could not be bound.')
        if queried_column(source.table, name) is None:
            raise AttributeNotFound.named(source.table.logical_name, name)
        return ColumnRef(name, source.alias)


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that are joined by AND."""
    if node is None:
        return
    if isinstance(node, exp.Paren):
        yield from conjuncts(node.this)
    elif isinstance(node, exp.And):
        for part in node.flatten(unnest=False):
            yield from conjuncts(part)
    else:
        yield node
