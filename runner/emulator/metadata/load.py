"""Loads tables from YAML files, which hold only a table's own columns; the platform's columns are added here.

Metadata ids are derived from the names, so that they are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runner.emulator.metadata.companions import companions
from runner.emulator.metadata.file_attachments import with_file_attachments
from runner.emulator.metadata.model import (
    LOOKUP_TYPES,
    AlternateKey,
    AttributeType,
    CascadeAssign,
    CascadeDelete,
    Column,
    ManyToManyRelationship,
    Metadata,
    OneToManyRelationship,
    Option,
    OptionSet,
    Ownership,
    Table,
)
from runner.emulator.metadata.naming import schema_name_of, words
from runner.emulator.metadata.regarding import with_jobs_regarding
from runner.emulator.metadata.stable_ids import stable_id

_HERE = Path(__file__).parent
#: PyYAML may be installed without its C parser; the Python one gives the same result six times slower.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_ACTIVE_OR_INACTIVE = {
    0: {"label": "Active", "reasons": {1: "Active"}},
    1: {"label": "Inactive", "reasons": {2: "Inactive"}},
}
_YES_OR_NO = {0: "No", 1: "Yes"}
_MONEY_LIMIT = 922337203685477
_LIMITS = {
    AttributeType.INTEGER: (-2147483648, 2147483647),
    AttributeType.DECIMAL: (-100000000000, 100000000000),
    AttributeType.DOUBLE: (-100000000000, 100000000000),
    AttributeType.MONEY: (-_MONEY_LIMIT, _MONEY_LIMIT),
}
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-attributes
_MAX_SIZES_IN_KB = {AttributeType.FILE: 32768}
_PRECISIONS = {AttributeType.DECIMAL: 2, AttributeType.DOUBLE: 2, AttributeType.MONEY: 4}


@cache
def load_metadata(directory: Path = _HERE / "tables") -> Metadata:
    """Load the tables in ``directory``, one YAML file each. Cached for the process."""
    return metadata_of([_read(path) for path in sorted(directory.glob("*.yaml"))])


def metadata_of(descriptions: Iterable[Mapping[str, Any]], common: Mapping[str, Any] | None = None) -> Metadata:
    """Build the tables from descriptions as in the YAML files, with the platform's columns and relationships."""
    common = common or common_columns()
    tables: dict[str, Table] = {}
    relationships: list[OneToManyRelationship] = []
    links: list[ManyToManyRelationship] = []
    for description in descriptions:
        columns = column_descriptions(description, common)
        table = make_table(description, columns)
        tables[table.logical_name] = table
        relationships += make_lookup_relationships(table, columns)
        for many_to_many, intersect in make_many_to_many(table, description):
            links.append(many_to_many)
            tables[intersect.logical_name] = intersect
    # A lookup may refer to a table that is not in this environment.
    known = tuple(r for r in relationships if r.referenced_entity in tables)
    return with_jobs_regarding(with_file_attachments(Metadata(tables, known, tuple(links))))


def describe(name: str, directory: Path = _HERE / "tables") -> dict[str, Any]:
    """The description of a table in its file, including the platform's columns."""
    description: dict[str, Any] = _read(directory / f"{name}.yaml")
    return {**description, "columns": column_descriptions(description, common_columns())}


@cache
def common_columns() -> Mapping[str, Any]:
    """The columns that the platform adds to tables, by group."""
    found: Mapping[str, Any] = _read(_HERE / "common.yaml")
    return found


def _read(path: Path) -> Any:
    return yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe loader


def column_descriptions(description: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    columns = dict(description["columns"])
    for group in description.get("include", ()):
        columns |= common[group]
    ownership = description.get("ownership", Ownership.USER.value)
    columns |= common["always"] | common[ownership]
    if any(column["type"] == AttributeType.MONEY for column in columns.values()):
        columns |= common["money"]
    for absent in description.get("without", ()):
        del columns[absent]
    # The table's own description of a column takes precedence over the platform's.
    return columns | dict(description["columns"])


def make_table(description: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> Table:
    name = description["logical_name"]
    return Table(
        logical_name=name,
        schema_name=description["schema_name"],
        entity_set_name=description["entity_set_name"],
        primary_id_attribute=f"{name}id",
        primary_name_attribute=description.get("primary_name"),
        display_name=description["display_name"],
        collection_display_name=description.get("collection_display_name"),
        columns={column.logical_name: column for column in _columns(description, columns)},
        keys=tuple(make_key(name, key, body) for key, body in description.get("keys", {}).items()),
        ownership=Ownership(description.get("ownership", Ownership.USER.value)),
        object_type_code=description.get("object_type_code", 0),
        change_tracking_enabled=description.get("change_tracking", True),
        is_custom=description.get("is_custom", False),
        metadata_id=stable_id(name),
    )


def _columns(description: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> Iterator[Column]:
    table = description["logical_name"]
    yield _primary_id(table, description["schema_name"])
    for name, body in columns.items():
        column = make_column(table, name, body)
        yield column
        yield from companions(table, column)
    yield from make_state_columns(table, description.get("states", _ACTIVE_OR_INACTIVE))


def _primary_id(table: str, schema_name: str) -> Column:
    return Column(
        logical_name=f"{table}id",
        schema_name=f"{schema_name}Id",
        type=AttributeType.UNIQUEIDENTIFIER,
        display_name=words(schema_name),
        metadata_id=stable_id(table, f"{table}id"),
        required=True,
        is_valid_for_update=False,
    )


def make_column(table: str, name: str, body: Mapping[str, Any]) -> Column:
    kind = AttributeType(body["type"])
    schema_name = body.get("schema_name") or schema_name_of(name)
    low, high = _LIMITS.get(kind, (None, None))
    return Column(
        logical_name=name,
        schema_name=schema_name,
        type=kind,
        display_name=body.get("display_name") or words(schema_name),
        metadata_id=stable_id(table, name),
        required=body.get("required", False),
        system_required=body.get("system_required", False),
        max_length=body.get("max_length"),
        precision=body.get("precision", _PRECISIONS.get(kind)),
        precision_source=body.get("precision_source", 0),
        min_value=body.get("min_value", low),
        max_value=body.get("max_value", high),
        date_only=body.get("date_only", False),
        format=body.get("format", "Text"),
        auto_number_format=body.get("auto_number_format"),
        options=make_options(kind, body.get("options")),
        option_set=body.get("option_set"),
        default_value=body.get("default"),
        targets=tuple(body.get("targets", ())),
        max_size_in_kb=body.get("max_size_in_kb", _MAX_SIZES_IN_KB.get(kind)),
        may_dangle=body.get("may_dangle", False),
        is_valid_for_create=body.get("create", kind is not AttributeType.FILE),
        is_valid_for_update=body.get("update", True),
        managed_property=body.get("managed_property", ""),
        indexed=body.get("indexed", False),
        is_custom=body.get("is_custom", name.startswith("new_")),
    )


def make_options(kind: AttributeType, options: Mapping[int, str] | None) -> tuple[Option, ...]:
    if options is None:
        options = _YES_OR_NO if kind is AttributeType.BOOLEAN else {}
    return tuple(Option(value, str(label)) for value, label in options.items())


def make_state_columns(table: str, states: Mapping[int, Mapping[str, Any]]) -> Iterator[Column]:
    if not states:
        return
    first = next(iter(states))
    reasons = [
        Option(value, label, state) for state, body in states.items() for value, label in body["reasons"].items()
    ]
    yield Column(
        logical_name="statecode",
        schema_name="statecode",
        type=AttributeType.STATE,
        display_name="Status",
        metadata_id=stable_id(table, "statecode"),
        options=tuple(Option(value, body["label"]) for value, body in states.items()),
        default_value=first,
    )
    yield Column(
        logical_name="statuscode",
        schema_name="statuscode",
        type=AttributeType.STATUS,
        display_name="Status Reason",
        metadata_id=stable_id(table, "statuscode"),
        options=tuple(reasons),
        default_value=reasons[0].value,
    )


def make_option_set(name: str, body: Mapping[str, Any]) -> OptionSet:
    return OptionSet(
        name=name,
        display_name=body["display_name"],
        options=make_options(AttributeType.PICKLIST, body["options"]),
        metadata_id=stable_id("option sets", name),
    )


def make_key(table: str, name: str, body: Mapping[str, Any]) -> AlternateKey:
    return AlternateKey(
        logical_name=name,
        schema_name=body["schema_name"],
        columns=tuple(body["columns"]),
        metadata_id=stable_id(table, "keys", name),
        has_failed=body.get("has_failed", False),
    )


def make_lookup_relationships(table: Table, bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[OneToManyRelationship]:
    for column in table.columns.values():
        if column.type in LOOKUP_TYPES:
            for target in column.targets:
                yield _relationship(table, column, target, bodies[column.logical_name])


def _relationship(table: Table, column: Column, target: str, body: Mapping[str, Any]) -> OneToManyRelationship:
    pattern = body.get("relationship") or _relationship_pattern(column)
    schema_name = pattern.format(table=table.logical_name, target=target)
    navigation = column.schema_name if column.is_custom else column.logical_name
    if len(column.targets) > 1 and column.type is not AttributeType.OWNER:
        navigation = f"{navigation}_{target}"
    return OneToManyRelationship(
        schema_name=schema_name,
        referenced_entity=target,
        referenced_attribute=f"{target}id",
        referencing_entity=table.logical_name,
        referencing_attribute=column.logical_name,
        referencing_entity_navigation_property_name=navigation,
        referenced_entity_navigation_property_name=schema_name,
        cascade_delete=CascadeDelete(body.get("cascade_delete", CascadeDelete.REMOVE_LINK.value)),
        cascade_assign=CascadeAssign(body.get("cascade_assign", CascadeAssign.NO_CASCADE.value)),
        is_hierarchical=body.get("hierarchical", False) and target == table.logical_name,
        metadata_id=stable_id("relationships", schema_name, target),
    )


def make_many_to_many(table: Table, description: Mapping[str, Any]) -> Iterator[tuple[ManyToManyRelationship, Table]]:
    """The many-to-many relationships of a description, each with its intersect table."""
    for schema_name, body in description.get("many_to_many", {}).items():
        ends = (table.primary_id_attribute, f"{body['with']}id")
        if ends[0] == ends[1]:
            ends = (f"{ends[0]}one", f"{ends[1]}two")
        relationship = ManyToManyRelationship(
            schema_name=schema_name,
            entity1_logical_name=table.logical_name,
            entity1_intersect_attribute=ends[0],
            entity2_logical_name=body["with"],
            entity2_intersect_attribute=ends[1],
            intersect_entity_name=body["intersect"],
            metadata_id=stable_id("relationships", schema_name),
        )
        yield relationship, _intersect(relationship, body)


def _intersect(relationship: ManyToManyRelationship, body: Mapping[str, Any]) -> Table:
    name = relationship.intersect_entity_name
    ends = (relationship.entity1_intersect_attribute, relationship.entity2_intersect_attribute)
    columns = [
        _primary_id(name, name),
        *(make_column(name, end, {"type": AttributeType.UNIQUEIDENTIFIER}) for end in ends),
        make_column(name, "versionnumber", {"type": AttributeType.BIG_INT, "create": False, "update": False}),
    ]
    return Table(
        logical_name=name,
        schema_name=name,
        entity_set_name=body["entity_set_name"],
        primary_id_attribute=f"{name}id",
        primary_name_attribute=None,
        display_name=words(name),
        columns={column.logical_name: column for column in columns},
        keys=(make_key(name, f"{name}_key", {"schema_name": f"{name}_key", "columns": ends}),),
        ownership=Ownership.NONE,
        is_custom=body.get("is_custom", False),
        is_intersect=True,
        metadata_id=stable_id(name),
    )


def _relationship_pattern(column: Column) -> str:
    if column.is_custom:
        return f"{{table}}_{column.schema_name.partition('_')[2]}_{{target}}"
    return f"lk_{{table}}_{column.logical_name}"
