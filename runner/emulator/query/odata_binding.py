"""Binds OData expressions to a table: names to columns, literals to values of the column's type.

    >>> binder = Binder(metadata, metadata.tables["account"], viewpoint)  # doctest: +SKIP
    >>> binder.filter(parse_filter("primarycontactid/lastname eq 'x'"))   # doctest: +SKIP

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/filter-rows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from runner.emulator.metadata.ends import ends_of
from runner.emulator.metadata.model import (
    Column,
    ManyToManyRelationship,
    Metadata,
    OneToManyRelationship,
    Table,
)
from runner.emulator.query import odata_syntax as syntax
from runner.emulator.query.edm import (
    TEXT_TYPES,
    column_named,
    column_value,
    edm_type,
    managed_property,
    unknown_property,
)
from runner.emulator.query.model import And, ColumnRef, Condition, Exists, Filter, Link, Not, Operator, Or, Order
from runner.emulator.query.odata import OrderItem
from runner.emulator.query.odata_functions import function_condition
from runner.emulator.query.odata_syntax import ODataError
from runner.emulator.query.viewpoint import Viewpoint

#: The highest number of conditions that Dataverse accepts in a query.
MAX_CONDITIONS = 500

_FLIPPED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_TEXT_OPERATORS = {
    "contains": Operator.CONTAINS,
    "startswith": Operator.BEGINS_WITH,
    "endswith": Operator.ENDS_WITH,
}
_OPERATOR_KINDS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}


@dataclass(slots=True)
class _Node:
    """A table used in a filter, and the tables reached from it. ``alias`` is None for the query's own table."""

    table: Table
    alias: str | None
    columns: tuple[str, str] = ("", "")
    reached: dict[str, _Node] = field(default_factory=dict)

    def links(self) -> tuple[Link, ...]:
        return tuple(node.link("outer") for node in self.reached.values())

    def link(self, kind: Any, where: Filter | None = None) -> Link:
        from_column, to_column = self.columns
        return Link(self.table.logical_name, from_column, to_column, self.alias or "", kind, (), where, self.links())


class Binder:
    """Binds the expressions of one query, and collects the joins they need in :meth:`links`."""

    def __init__(self, metadata: Metadata, table: Table, viewpoint: Viewpoint) -> None:
        self._metadata = metadata
        self._root = _Node(table, None)
        self._viewpoint = viewpoint
        self._aliases = count(1)
        self._conditions = 0

    def links(self) -> tuple[Link, ...]:
        return self._root.links()

    def filter(self, expression: syntax.Expression) -> Filter:
        """Bind a ``$filter``. Raises ODataError when a name is unknown or a value does not fit its column."""
        return self._filter(expression, {"": self._root})

    def orders(self, items: Iterable[OrderItem]) -> tuple[Order, ...]:
        """Bind an ``$orderby``; lookups are sorted by name. Raises ODataError when a name is unknown.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/order-rows
        """
        found = ((*self.column(item.property), item.descending) for item in items)
        return tuple(Order(ref, descending, by_label=column.is_lookup) for ref, column, descending in found)

    def column(self, prop: syntax.Property) -> tuple[ColumnRef, Column]:
        """The column a property path leads to. Raises ODataError."""
        return self._column(prop, {"": self._root})

    def table_of(self, prop: syntax.Property) -> Table:
        """The table of the column a property path leads to. Raises ODataError."""
        node = self._root
        for name in prop.path[:-1]:
            node = self._reach(node, name)
        return node.table

    def _filter(self, expression: syntax.Expression, scopes: Mapping[str, _Node]) -> Filter:
        match expression:
            case syntax.Junction(operator, operands):
                parts = tuple(self._filter(operand, scopes) for operand in operands)
                return And(parts) if operator == "and" else Or(parts)
            case syntax.Negation(syntax.QueryFunction()):
                raise ODataError("Not operator along with the Custom Named Condition operators is not allowed")
            case syntax.Negation(operand):
                return Not(self._filter(operand, scopes))
            case syntax.Lambda():
                return self._lambda(expression, scopes)
            case syntax.Comparison() | syntax.Call() | syntax.QueryFunction():
                self._count_condition()
                return self._condition(expression, scopes)
        raise ODataError("A filter must be a condition, such as name eq 'x', not a bare value or name.")

    def _count_condition(self) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise ODataError("Number of conditions in query exceeded maximum limit.")

    def _condition(
        self, expression: syntax.Comparison | syntax.Call | syntax.QueryFunction, scopes: Mapping[str, _Node]
    ) -> Filter:
        match expression:
            case syntax.Comparison(operator, syntax.Property() as left, syntax.Property() as right):
                return self._compare_columns(operator, left, right, scopes)
            case syntax.Comparison(operator, syntax.Property() as prop, syntax.Literal() as value):
                return self._compare(operator, prop, value, scopes)
            case syntax.Comparison(operator, syntax.Literal() as value, syntax.Property() as prop):
                return self._compare(_FLIPPED[operator], prop, value, scopes)
            case syntax.Call(name, (syntax.Property() as prop, syntax.Literal(str() as text, "Edm.String"))) if (
                name in _TEXT_OPERATORS
            ):
                return self._match_text(_TEXT_OPERATORS[name], prop, text, scopes)
            case syntax.Call(name):
                raise ODataError(f"The function {name} is not supported here, or its arguments do not fit it.")
            case syntax.QueryFunction():
                return self._query_function(expression, scopes)
        raise ODataError("A comparison needs a property on one side and a property or a value on the other.")

    def _compare(
        self, operator: str, prop: syntax.Property, value: syntax.Literal, scopes: Mapping[str, _Node]
    ) -> Condition:
        if value.value is None:
            ref, _ = self._column(prop, scopes, null_test=True)
            if operator not in ("eq", "ne"):
                raise ODataError(f"null can be compared with eq and ne only, not with {operator}.")
            return Condition(ref, Operator.NULL if operator == "eq" else Operator.NOT_NULL)
        ref, column = self._column(prop, scopes)
        return Condition(ref, Operator(operator), (_comparable(column, value, operator),))

    def _compare_columns(
        self, operator: str, left: syntax.Property, right: syntax.Property, scopes: Mapping[str, _Node]
    ) -> Condition:
        left_ref, left_column = self._column(left, scopes)
        right_ref, right_column = self._column(right, scopes)
        if edm_type(left_column) != edm_type(right_column):
            raise _incompatible(edm_type(left_column), edm_type(right_column), operator)
        return Condition(left_ref, Operator(operator), (right_ref,))

    def _match_text(
        self, operator: Operator, prop: syntax.Property, text: str, scopes: Mapping[str, _Node]
    ) -> Condition:
        ref, column = self._column(prop, scopes)
        if column.type not in TEXT_TYPES:
            raise ODataError(f"{operator.value} needs a text property, and '{prop}' is {edm_type(column)}.")
        return Condition(ref, operator, (text,))

    def _query_function(self, call: syntax.QueryFunction, scopes: Mapping[str, _Node]) -> Filter:
        name = call.arguments.get("PropertyName")
        if not isinstance(name, str):
            raise ODataError(f"{call.name} needs PropertyName='...'.")
        ref, column = self._column(syntax.Property(tuple(name.split("/"))), scopes, null_test=True)
        return function_condition(call, ref, column, self._viewpoint)

    def _column(
        self, prop: syntax.Property, scopes: Mapping[str, _Node], *, null_test: bool = False
    ) -> tuple[ColumnRef, Column]:
        node, path = _start(prop, scopes)
        while len(path) > 1:
            managed = managed_property(node.table, path)
            if managed is not None:
                return ColumnRef(managed.logical_name, node.alias), managed
            node, path = self._reach(node, path[0]), path[1:]
        column = column_named(node.table, path[-1])
        if column is None and null_test:
            node, column = self._null_tested(node, path[-1])
        if column is None:
            raise self._not_comparable(node.table, path[-1])
        return ColumnRef(column.logical_name, node.alias), column

    def _null_tested(self, node: _Node, navigation_property: str) -> tuple[_Node, Column | None]:
        """What is null when a navigation property leads to no row: its lookup.

        Where other properties of the lookup lead to other tables, it is the id of the row.
        """
        relationship = self._many_to_one(node.table, navigation_property)
        if relationship is None:
            return node, None
        if self._shares_lookup(relationship):
            node = self._reach(node, navigation_property)
            return node, node.table.columns[node.table.primary_id_attribute]
        return node, node.table.columns[relationship.referencing_attribute]

    def _shares_lookup(self, relationship: OneToManyRelationship) -> bool:
        return any(
            other.referencing_attribute == relationship.referencing_attribute
            and other.referencing_entity_navigation_property_name
            != relationship.referencing_entity_navigation_property_name
            for other in self._metadata.many_to_one(relationship.referencing_entity)
        )

    def _not_comparable(self, table: Table, name: str) -> ODataError:
        relationship = self._many_to_one(table, name)
        if relationship is None:
            return unknown_property(table, name)
        return ODataError(
            f"'{name}' is a navigation property to {relationship.referenced_entity} and has no value to compare. "
            f"Use '_{relationship.referencing_attribute}_value'."
        )

    def _many_to_one(self, table: Table, navigation_property: str) -> OneToManyRelationship | None:
        for relationship in self._metadata.many_to_one(table.logical_name):
            if relationship.referencing_entity_navigation_property_name == navigation_property:
                return relationship
        return None

    def _reach(self, node: _Node, name: str) -> _Node:
        if name not in node.reached:
            relationship = self._many_to_one(node.table, name)
            if relationship is None:
                raise unknown_property(node.table, name)
            columns = (relationship.referenced_attribute, relationship.referencing_attribute)
            node.reached[name] = self._new_node(relationship.referenced_entity, columns)
        return node.reached[name]

    def _lambda(self, expression: syntax.Lambda, scopes: Mapping[str, _Node]) -> Filter:
        parent, path = _start(expression.collection, scopes)
        if len(path) != 1:
            raise ODataError(f"'{expression.collection}' is not a collection of the table itself.")
        node, through = self._collection(parent, path[0])
        where = None
        if expression.body is not None and expression.variable is not None:
            where = self._filter(expression.body, {**scopes, expression.variable: node})
        if expression.quantifier == "any":
            return Exists(_through(through, node.link("inner", where)))
        # All rows match when there is none that does not.
        return Not(Exists(_through(through, node.link("inner", Not(where) if where else None))))

    def _collection(self, parent: _Node, name: str) -> tuple[_Node, Link | None]:
        """The table of a collection, and the link to the intersect table if the relationship is many-to-many."""
        for relationship in self._metadata.referenced_by(parent.table.logical_name):
            if relationship.referenced_entity_navigation_property_name == name:
                columns = (relationship.referencing_attribute, relationship.referenced_attribute)
                return self._new_node(relationship.referencing_entity, columns), None
        for many_to_many in self._metadata.many_to_many:
            names = (many_to_many.entity1_logical_name, many_to_many.entity2_logical_name)
            if many_to_many.schema_name == name and parent.table.logical_name in names:
                return self._intersected(parent.table, many_to_many)
        raise unknown_property(parent.table, name)

    def _intersected(self, table: Table, relationship: ManyToManyRelationship) -> tuple[_Node, Link]:
        ends = ends_of(relationship, table.logical_name)
        far = self._metadata.tables[ends.far_table]
        alias = f"n{next(self._aliases)}"
        through = Link(relationship.intersect_entity_name, ends.near_column, table.primary_id_attribute, alias)
        return self._new_node(ends.far_table, (far.primary_id_attribute, ends.far_column)), through

    def _new_node(self, table: str, columns: tuple[str, str]) -> _Node:
        return _Node(self._metadata.tables[table], f"n{next(self._aliases)}", columns)


def _through(through: Link | None, link: Link) -> Link:
    return link if through is None else replace(through, links=(link,))


def _start(prop: syntax.Property, scopes: Mapping[str, _Node]) -> tuple[_Node, tuple[str, ...]]:
    """The node where a path begins: that of a lambda variable if its first name is one, otherwise the query's own."""
    if len(prop.path) > 1 and prop.path[0] in scopes:
        return scopes[prop.path[0]], prop.path[1:]
    return scopes[""], prop.path


def _incompatible(left: str, right: str | None, operator: str) -> ODataError:
    return ODataError(
        "A binary operator with incompatible types was detected. "
        f"Found operand types '{left}' and '{right}' for operator kind '{_OPERATOR_KINDS[operator]}'."
    )


def _comparable(column: Column, literal: syntax.Literal, operator: str) -> Any:
    expected = edm_type(column)
    if expected == "Edm.String" and literal.edm_type != expected:
        raise _incompatible(expected, literal.edm_type, operator)
    try:
        return column_value(column, literal.value)
    except ValueError:
        raise _incompatible(expected, literal.edm_type, operator) from None
