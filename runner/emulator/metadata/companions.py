"""The columns that the platform adds to a column: the amount in the base currency, and the name of a file.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/transaction-currency-currency-entity
Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data#file-name-column
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from runner.emulator.metadata.model import AttributeType, Column
from runner.emulator.metadata.stable_ids import stable_id

#: The length of ``fileattachment.filename``.
_FILE_NAME_LENGTH = 255


def companions(table: str, column: Column) -> Iterator[Column]:
    """The columns that come and go with a column of that table."""
    if column.type is AttributeType.MONEY:
        yield _base_column(table, column)
    elif column.type is AttributeType.FILE:
        yield _file_name_column(table, column)


def file_name_column(name: str) -> str:
    """The logical name of the column with the name of the file in the file column ``name``."""
    return f"{name}_name"


def _base_column(table: str, money: Column) -> Column:
    """The column with the value of a money column in the base currency."""
    return replace(
        money,
        logical_name=f"{money.logical_name}_base",
        schema_name=f"{money.schema_name}_Base",
        display_name=f"{money.display_name} (Base)",
        metadata_id=stable_id(table, f"{money.logical_name}_base"),
        required=False,
        base_of=money.logical_name,
        is_valid_for_create=False,
        is_valid_for_update=False,
    )


def _file_name_column(table: str, file: Column) -> Column:
    name = file_name_column(file.logical_name)
    return Column(
        logical_name=name,
        schema_name=f"{file.schema_name}_Name",
        type=AttributeType.STRING,
        display_name=f"{file.display_name} Name",
        metadata_id=stable_id(table, name),
        max_length=_FILE_NAME_LENGTH,
        attribute_of=file.logical_name,
        is_valid_for_create=False,
        is_valid_for_update=False,
        is_custom=file.is_custom,
    )
