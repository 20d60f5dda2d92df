"""Parses ``$apply``: groups and aggregates.

    >>> parse_apply("filter(revenue gt 5)/groupby((statuscode),aggregate(revenue with sum as total))").aggregates
    (AggregateItem(function='sum', property=Property(path=('revenue',)), alias='total'),)

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/aggregate-data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from runner.emulator.metadata.model import AttributeType
from runner.emulator.query.model import Aggregate, ColumnRef, GroupBy, Order, Query
from runner.emulator.query.odata import OrderItem, Parser, parse_filter, split_outside
from runner.emulator.query.odata_binding import Binder
from runner.emulator.query.odata_syntax import Expression, Junction, ODataError, Property, syntax_error

Function: TypeAlias = Literal["count", "sum", "avg", "min", "max"]

_FUNCTIONS: Mapping[str, Function] = {"sum": "sum", "min": "min", "max": "max", "average": "avg"}


@dataclass(frozen=True, slots=True)
class AggregateItem:
    """An aggregate function over a property; without ``property`` it counts rows."""

    function: Function
    property: Property | None
    alias: str


@dataclass(frozen=True, slots=True)
class Transformation:
    """A parsed ``$apply``: filter the rows, then group them, then aggregate each group."""

    filter: Expression | None = None
    group_by: tuple[Property, ...] = ()
    aggregates: tuple[AggregateItem, ...] = ()


def parse_apply(text: str, aliases: Mapping[str, str] | None = None) -> Transformation:
    """Parse a ``$apply``. Raises ODataError when it is malformed, or not supported by Dataverse."""
    *filters, last = [_call(step.strip()) for step in split_outside(text, "/")]
    if any(name != "filter" for name, _ in filters):
        raise ODataError("$apply takes filter(...) steps, and then one groupby(...) or aggregate(...).")
    conditions = tuple(parse_filter(inner, aliases or {}) for _, inner in filters)
    filter = Junction("and", conditions) if len(conditions) > 1 else next(iter(conditions), None)
    name, inner = last
    if name == "aggregate":
        return Transformation(filter, aggregates=_aggregates(inner))
    if name == "groupby":
        return Transformation(filter, *_groups(inner))
    raise ODataError(f"$apply cannot end in '{name}': use groupby(...) or aggregate(...).")


def _call(step: str) -> tuple[str, str]:
    name, parenthesis, rest = step.partition("(")
    if not parenthesis or not rest.endswith(")"):
        raise syntax_error(step, len(step))
    return name.strip(), rest[:-1]


def _groups(text: str) -> tuple[tuple[Property, ...], tuple[AggregateItem, ...]]:
    listed, *rest = (part.strip() for part in split_outside(text, ","))
    name, inner = _call(listed)
    if name or len(rest) > 1:
        raise syntax_error(text, 0)
    properties = tuple(_property(part) for part in split_outside(inner, ","))
    if not rest:
        return properties, ()
    name, aggregates = _call(rest[0])
    if name != "aggregate":
        raise ODataError(f"groupby takes aggregate(...) after its columns, not '{name}'.")
    return properties, _aggregates(aggregates)


def _property(text: str) -> Property:
    parser = Parser(text)
    path = parser.path()
    parser.expect("end")
    return Property(path)


def _aggregates(text: str) -> tuple[AggregateItem, ...]:
    return tuple(_aggregate(part) for part in split_outside(text, ","))


def _aggregate(text: str) -> AggregateItem:
    """``revenue with sum as total`` or ``$count as n``."""
    match text.split():
        case ["$count", "as", alias] if alias.isidentifier():
            return AggregateItem("count", None, alias)
        case [name, "with", method, "as", alias] if method in _FUNCTIONS and alias.isidentifier():
            return AggregateItem(_FUNCTIONS[method], _property(name), alias)
    raise ODataError(
        f"'{text.strip()}' is not an aggregate. Write '<column> with sum|average|min|max as <alias>', "
        "or '$count as <alias>'."
    )


def bind_apply(
    binder: Binder, transformation: Transformation, entity_name: str, orderby: Sequence[OrderItem] = ()
) -> Query:
    """Build the aggregate query of a ``$apply``. Raises ODataError when a column is unknown or cannot be sorted by."""
    where = binder.filter(transformation.filter) if transformation.filter else None
    groups = tuple(_group(binder, prop) for prop in transformation.group_by)
    aggregates = tuple(_bound(binder, item) for item in transformation.aggregates)
    names = {str(prop): group.alias for prop, group in zip(transformation.group_by, groups, strict=True)}
    _refuse_repeated([*(group.alias for group in groups), *(aggregate.alias for aggregate in aggregates)])
    orders = tuple(_order(item, names) for item in orderby)
    return Query(entity_name, where=where, orders=orders, links=binder.links(), group_by=groups, aggregates=aggregates)


def _refuse_repeated(aliases: Sequence[str]) -> None:
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise ODataError(f"'{alias}' is the name of more than one value of the result. Choose another alias.")


def _order(item: OrderItem, names: Mapping[str, str]) -> Order:
    """The order of groups. They can be sorted by the properties they are grouped by only."""
    alias = names.get(str(item.property))
    if alias is None:
        raise ODataError("The query node SingleValueOpenPropertyAccess is not supported")
    return Order(ColumnRef(alias), item.descending)


def _group(binder: Binder, prop: Property) -> GroupBy:
    ref, column = binder.column(prop)
    if column.type is AttributeType.DATE_TIME:
        raise ODataError(f"groupby of '{prop}' is not supported, because it is a date.")
    # The alias of a column reached through a lookup begins with its table: contact_fullname.
    table = binder.table_of(prop)
    return GroupBy(ref, prop.path[-1] if len(prop.path) == 1 else f"{table.logical_name}_{prop.path[-1]}")


def _bound(binder: Binder, item: AggregateItem) -> Aggregate:
    ref = binder.column(item.property)[0] if item.property else None
    return Aggregate(item.function, ref, item.alias)
