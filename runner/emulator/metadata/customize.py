"""Applies customizations to metadata: new tables, and columns, keys and relationships of existing ones.

A customization has the form of a table's YAML file. For an existing table it contains the additions only, and under
``changes`` the changes of existing columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from runner.emulator.metadata.companions import companions
from runner.emulator.metadata.file_attachments import with_file_attachments
from runner.emulator.metadata.load import (
    column_descriptions,
    common_columns,
    make_column,
    make_key,
    make_lookup_relationships,
    make_many_to_many,
    make_option_set,
    make_options,
    make_state_columns,
    make_table,
)
from runner.emulator.metadata.model import (
    AttributeType,
    CascadeAssign,
    CascadeDelete,
    Column,
    Metadata,
    OneToManyRelationship,
    Table,
)
from runner.emulator.metadata.regarding import with_jobs_regarding

_Body: TypeAlias = "Mapping[str, Any]"
_Bodies: TypeAlias = "Mapping[str, _Body]"


def customized(base: Metadata, customizations: _Bodies, option_sets: _Bodies) -> Metadata:
    """``base`` with the customizations of each table, in the order they were made, and the global choices."""
    tables = dict(base.tables)
    relationships, links = list(base.one_to_many), list(base.many_to_many)
    for name, description in customizations.items():
        bodies = _with_options(_bodies(base.tables.get(name), description), option_sets)
        added = _added(base.tables.get(name), description, bodies)
        tables[name] = _joined(base.tables.get(name), added, description)
        relationships = [_changed_relationship(each, name, description) for each in relationships]
        relationships += make_lookup_relationships(added, bodies)
        for many_to_many, intersect in make_many_to_many(added, description):
            links.append(many_to_many)
            tables[intersect.logical_name] = intersect
    known = tuple(r for r in relationships if r.referenced_entity in tables)
    choices = {name: make_option_set(name, body) for name, body in option_sets.items()}
    metadata = Metadata(tables, known, tuple(links), {**base.option_sets, **choices})
    return with_jobs_regarding(with_file_attachments(metadata))


def _bodies(table: Table | None, description: _Body) -> _Bodies:
    if table is None:
        return column_descriptions(description, common_columns())
    bodies: _Bodies = description.get("columns", {})
    has_money = any(body["type"] == AttributeType.MONEY for body in bodies.values())
    if has_money and "transactioncurrencyid" not in table.columns:
        return {**common_columns()["money"], **bodies}
    return bodies


def _with_options(bodies: _Bodies, option_sets: _Bodies) -> _Bodies:
    """The columns, with the current options of the global choices they use."""
    return {
        name: {**body, "options": option_sets[body["option_set"]]["options"]} if body.get("option_set") else body
        for name, body in bodies.items()
    }


def _added(table: Table | None, description: _Body, bodies: _Bodies) -> Table:
    """A table that consists of the additions only."""
    if table is None:
        return make_table(description, bodies)
    columns = {column.logical_name: column for column in _columns(table.logical_name, bodies)}
    if "states" in description:
        columns |= {c.logical_name: c for c in make_state_columns(table.logical_name, description["states"])}
    keys = tuple(make_key(table.logical_name, name, body) for name, body in description.get("keys", {}).items())
    return replace(table, columns=columns, keys=keys)


def _columns(table: str, bodies: _Bodies) -> Iterator[Column]:
    for name, body in bodies.items():
        column = make_column(table, name, body)
        yield column
        yield from companions(table, column)


def _joined(table: Table | None, added: Table, description: _Body) -> Table:
    base = table or added
    changes = description.get("changes", {})
    changed = {name: _changed_column(base.columns[name], body) for name, body in changes.items()}
    if table is None:
        return replace(added, columns={**added.columns, **changed})
    return replace(
        table,
        columns={**table.columns, **changed, **added.columns},
        keys=(*table.keys, *added.keys),
        display_name=description.get("display_name", table.display_name),
        collection_display_name=description.get("collection_display_name", table.collection_display_name),
        change_tracking_enabled=description.get("change_tracking", table.change_tracking_enabled),
    )


#: The properties of the platform's columns that can be changed, named as in the YAML files.
_CHANGEABLE = (
    "display_name",
    "required",
    "max_length",
    "precision",
    "min_value",
    "max_value",
    "auto_number_format",
    "max_size_in_kb",
)


def _changed_column(column: Column, body: _Body) -> Column:
    options = make_options(column.type, body["options"]) if "options" in body else column.options
    return replace(column, options=options, **{key: body[key] for key in _CHANGEABLE if key in body})


_CASCADES: Mapping[str, type[CascadeDelete | CascadeAssign]] = {
    "cascade_delete": CascadeDelete,
    "cascade_assign": CascadeAssign,
}


def _changed_relationship(each: OneToManyRelationship, table: str, description: _Body) -> OneToManyRelationship:
    """The relationship with changed cascades, which also the platform's relationships can have."""
    if each.referencing_entity != table:
        return each
    body = description.get("changes", {}).get(each.referencing_attribute, {})
    changes: dict[str, Any] = {key: cascade(body[key]) for key, cascade in _CASCADES.items() if key in body}
    return replace(each, **changes)
