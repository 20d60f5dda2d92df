"""Which tables can be described: a rule about the section ``tables``."""

from __future__ import annotations

from runner.registrations.problems import Finding, Path, did_you_mean
from runner.registrations.tables import ColumnDescription
from runner.registrations.view import View, Wrong

_CHOICES = ("Picklist", "MultiSelectPicklist")


def tables_are_whole(view: View) -> Wrong:
    """Every lookup leads somewhere, every choice has options, and names of one thing are one name."""
    for name, table in view.tables.items():
        path = ("tables", name)
        yield from _spelled_alike(path, name, table.schema_name)
        for column, body in table.columns.items():
            yield from _column_is_whole((*path, "columns", column), column, body)
        if table.primary_name is not None and table.primary_name not in table.columns:
            hint = did_you_mean(table.primary_name, list(table.columns))
            message = f"There is no column {table.primary_name!r} under columns."
            yield Finding(path=(*path, "primary_name"), message=message, hint=hint)


def _column_is_whole(path: Path, name: str, column: ColumnDescription) -> Wrong:
    yield from _spelled_alike(path, name, column.schema_name)
    if column.type == "Lookup" and not column.targets:
        yield Finding(path=path, message="A Lookup leads to a table.", hint="Name it: targets: [account].")
    if column.type in _CHOICES and not column.options:
        hint = "Give it options, such as { 1: Open, 2: Paid }."
        yield Finding(path=path, message=f"A {column.type} has options.", hint=hint)


def _spelled_alike(path: Path, name: str, schema_name: str | None) -> Wrong:
    if schema_name is not None and schema_name.lower() != name:
        hint = "It is the logical name with capitals."
        yield Finding(path=(*path, "schema_name"), message=f"{schema_name} is not {name}.", hint=hint)
