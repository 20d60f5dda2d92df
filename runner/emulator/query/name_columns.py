"""Virtual columns such as ``primarycontactidname``: the text shown for a lookup, a choice or a yes/no column.

They store nothing. Queries may select, filter and sort by them; in OData their values are formatted values instead.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/account#read-only-columnsattributes
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.emulator.metadata.model import AttributeType, Column, Metadata, Table

_SUFFIX = "name"


@dataclass(frozen=True, slots=True)
class NameColumn:
    """A virtual ``column`` with the text shown for the column ``of``."""

    column: Column
    of: Column


def name_column(table: Table, name: str) -> NameColumn | None:
    """The virtual column of that name; None when there is none, or the table has a column with that name."""
    of = table.columns.get(name.removesuffix(_SUFFIX)) if name not in table.columns else None
    if of is None or not (of.is_lookup or of.is_choice or of.type is AttributeType.BOOLEAN):
        return None
    virtual = Column(
        logical_name=name,
        schema_name=f"{of.schema_name}Name",
        type=AttributeType.STRING,
        display_name="",
        is_valid_for_create=False,
        is_valid_for_update=False,
    )
    return NameColumn(virtual, of)


def queried_column(table: Table, name: str) -> Column | None:
    """The column of that name, stored or virtual."""
    virtual = name_column(table, name)
    return virtual.column if virtual is not None else table.columns.get(name)


def shown_sql(metadata: Metadata, column: Column, sql: str) -> str:
    """The SQL of the text shown for a value of ``column``, which is ``sql``."""
    return _primary_name(metadata, column, sql) if column.is_lookup else f"({_label(column, sql)})"


def _primary_name(metadata: Metadata, column: Column, sql: str) -> str:
    """The SQL of the primary name of the row that a lookup refers to, in any of its target tables."""
    names = []
    for target in column.targets:
        table = metadata.tables.get(target)
        if table is not None and table.primary_name_attribute is not None:
            names.append(
                f'(SELECT "{table.primary_name_attribute}" FROM "{target}"'  # noqa: S608 - metadata's names
                f' WHERE "{table.primary_id_attribute}" = {sql})'
            )
    # The NULLs are there because COALESCE needs at least two arguments.
    return f"COALESCE({', '.join((*names, 'NULL', 'NULL'))})"


def _label(column: Column, sql: str) -> str:
    # The SQL may be repeated in a statement, which bound parameters could not be, so labels are literals.
    cases = "".join(f" WHEN {option.value:d} THEN {_quoted(option.label)}" for option in column.options)
    return f"CASE {sql}{cases} END" if cases else "NULL"


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''").replace("\0", ""))
