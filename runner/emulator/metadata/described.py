"""The shipped tables, with those of your own that registrations describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.emulator.metadata.customize import customized
from runner.emulator.metadata.load import load_metadata
from runner.emulator.metadata.model import AttributeType, Metadata, Table
from runner.emulator.metadata.naming import plural, schema_name_of, words
from runner.execution.step import StepError

if TYPE_CHECKING:
    from runner.registrations.model import Registrations
    from runner.registrations.tables import ColumnDescription, TableDescription


def metadata_for(registrations: Registrations) -> Metadata:
    """The shipped tables, and the tables and columns under ``tables`` of the registrations.

    Raises:
      StepError: a lookup leads to a table there is not, or two tables have one entity set.
    """
    shipped = load_metadata()
    if not registrations.tables:
        return shipped
    bodies = {name: _body(name, table, name in shipped.tables) for name, table in registrations.tables.items()}
    metadata = customized(shipped, bodies, {})
    for name in bodies:
        _refuse_misfits(metadata.tables[name], metadata)
    return metadata


def _refuse_misfits(table: Table, metadata: Metadata) -> None:
    name = table.logical_name
    if any(other is not table and other.entity_set_name == table.entity_set_name for other in metadata.tables.values()):
        raise StepError(f"Table {name!r}: {table.entity_set_name} is another's. Give it an entity_set_name of its own.")
    for column in table.columns.values():
        for target in column.targets:
            if target not in metadata.tables:
                advice = "Describe that one under tables, too, or correct the name."
                raise StepError(f"Table {name!r}: {column.logical_name} leads to no table {target!r} here. {advice}")


def _body(name: str, table: TableDescription, is_shipped: bool) -> Mapping[str, Any]:
    """A description as in a table's YAML file; of a shipped table, the additions only."""
    additions = {
        "columns": {column: _column(column, body) for column, body in table.columns.items()},
        "keys": {
            key: {"schema_name": schema_name_of(key), "columns": body.columns} for key, body in table.keys.items()
        },
    }
    if is_shipped:
        return additions
    schema_name = table.schema_name or schema_name_of(name)
    return {
        "logical_name": name,
        "schema_name": schema_name,
        "entity_set_name": table.entity_set_name or plural(name),
        "display_name": table.display_name or words(schema_name),
        "primary_name": table.primary_name,
        "ownership": table.ownership,
        "is_custom": _is_custom(name),
        **additions,
    }


def _column(name: str, column: ColumnDescription) -> Mapping[str, Any]:
    body = {"is_custom": _is_custom(name), **column.model_dump(exclude_defaults=True)}
    if AttributeType(column.type) is AttributeType.CUSTOMER and not column.targets:
        body["targets"] = ("account", "contact")
    return body


def _is_custom(name: str) -> bool:
    """Whether the name has a publisher's prefix."""
    return "_" in name
