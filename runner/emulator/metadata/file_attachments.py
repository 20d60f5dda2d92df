"""Relates the files in ``fileattachment`` to the rows whose file columns hold them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data#relationship-to-fileattachment-table
"""

from __future__ import annotations

from dataclasses import replace

from runner.emulator.metadata.model import CascadeDelete, Metadata, OneToManyRelationship, Table
from runner.emulator.metadata.stable_ids import stable_id

FILE_ATTACHMENT = "fileattachment"
_OBJECT = "objectid"


def with_file_attachments(metadata: Metadata) -> Metadata:
    """The metadata with the relationship ``<table>_FileAttachments`` of every table that has file columns."""
    files = metadata.tables.get(FILE_ATTACHMENT)
    if files is None:
        return metadata
    # Any table may get a file column, and the codec of a lookup depends on how many tables it refers to.
    targets = tuple(name for name, table in metadata.tables.items() if table is not files and not table.is_intersect)
    lookup = replace(files.columns[_OBJECT], targets=targets)
    of_files = (FILE_ATTACHMENT, _OBJECT)
    others = (r for r in metadata.one_to_many if (r.referencing_entity, r.referencing_attribute) != of_files)
    holders = (table for table in metadata.tables.values() if table.file_columns)
    return replace(
        metadata,
        tables={**metadata.tables, FILE_ATTACHMENT: replace(files, columns={**files.columns, _OBJECT: lookup})},
        one_to_many=(*others, *map(_relationship, holders)),
    )


def _relationship(table: Table) -> OneToManyRelationship:
    name = f"{table.logical_name}_FileAttachments"
    return OneToManyRelationship(
        schema_name=name,
        referenced_entity=table.logical_name,
        referenced_attribute=table.primary_id_attribute,
        referencing_entity=FILE_ATTACHMENT,
        referencing_attribute=_OBJECT,
        referencing_entity_navigation_property_name=f"{_OBJECT}_{table.logical_name}",
        referenced_entity_navigation_property_name=name,
        # The rows' own rules delete the files, without steps: see runner.emulator.rows.files.
        cascade_delete=CascadeDelete.NO_CASCADE,
        metadata_id=stable_id("relationships", name, table.logical_name),
    )
