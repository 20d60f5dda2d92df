"""Metadata with customizations: tables of one's own, and columns, keys and links added to those that are there.

A customization has the form of a table's YAML file. For a table that is there it holds only what is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.emulator.metadata.load import (
    column_descriptions,
    common_columns,
    make_base_column,
    make_column,
    make_key,
    make_lookup_relationships,
    make_many_to_many,
    make_table,
)
from runner.emulator.metadata.model import AttributeType, Column, Metadata, Table


def customized(base: Metadata, customizations: Mapping[str, Mapping[str, Any]]) -> Metadata:
    """``base`` with the customizations, which are by table, in the order they were made."""
    tables = dict(base.tables)
    relationships, links = list(base.one_to_many), list(base.many_to_many)
    for name, description in customizations.items():
        bodies = _bodies(base.tables.get(name), description)
        added = _added(base.tables.get(name), description, bodies)
        tables[name] = _joined(base.tables.get(name), added)
        relationships += make_lookup_relationships(added, bodies)
        for many_to_many, intersect in make_many_to_many(added, description):
            links.append(many_to_many)
            tables[intersect.logical_name] = intersect
    known = tuple(r for r in relationships if r.referenced_entity in tables)
    return Metadata(tables, known, tuple(links))


def _bodies(table: Table | None, description: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    if table is None:
        return column_descriptions(description, common_columns())
    bodies: Mapping[str, Mapping[str, Any]] = description.get("columns", {})
    has_money = any(body["type"] == AttributeType.MONEY for body in bodies.values())
    if has_money and "transactioncurrencyid" not in table.columns:
        return {**common_columns()["money"], **bodies}
    return bodies


def _added(table: Table | None, description: Mapping[str, Any], bodies: Mapping[str, Mapping[str, Any]]) -> Table:
    """A table of what the customization adds alone."""
    if table is None:
        return make_table(description, bodies)
    columns = {column.logical_name: column for column in _columns(table.logical_name, bodies)}
    keys = tuple(make_key(table.logical_name, name, body) for name, body in description.get("keys", {}).items())
    return replace(table, columns=columns, keys=keys)


def _columns(table: str, bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[Column]:
    for name, body in bodies.items():
        column = make_column(table, name, body)
        yield column
        if column.type is AttributeType.MONEY:
            yield make_base_column(table, column)


def _joined(table: Table | None, added: Table) -> Table:
    if table is None:
        return added
    return replace(table, columns={**table.columns, **added.columns}, keys=(*table.keys, *added.keys))
