"""Adds all tables of the environment to the targets of the lookup "regarding" of system jobs.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service#examples
"""

from __future__ import annotations

from dataclasses import replace

from runner.emulator.metadata.model import CascadeDelete, Metadata, OneToManyRelationship, Table
from runner.emulator.metadata.stable_ids import stable_id

_JOBS = "asyncoperation"
_REGARDING = "regardingobjectid"
#: Tables whose rows no system job is regarding.
NEVER_REGARDED = frozenset({_JOBS, "sdkmessageprocessingstep"})


def with_jobs_regarding(metadata: Metadata) -> Metadata:
    """The metadata with system jobs that can be regarding rows of every table but :data:`NEVER_REGARDED`."""
    jobs = metadata.tables.get(_JOBS)
    if jobs is None:
        return metadata
    known = jobs.columns[_REGARDING].targets
    left_out = NEVER_REGARDED.union(known)
    added = [table for name, table in metadata.tables.items() if name not in left_out and not table.is_intersect]
    targets = (*known, *(table.logical_name for table in added))
    lookup = replace(jobs.columns[_REGARDING], targets=targets)
    return replace(
        metadata,
        tables={**metadata.tables, _JOBS: replace(jobs, columns={**jobs.columns, _REGARDING: lookup})},
        one_to_many=(*metadata.one_to_many, *(_relationship(table) for table in added)),
    )


def _relationship(table: Table) -> OneToManyRelationship:
    name = f"{table.schema_name}_AsyncOperations"
    return OneToManyRelationship(
        schema_name=name,
        referenced_entity=table.logical_name,
        referenced_attribute=table.primary_id_attribute,
        referencing_entity=_JOBS,
        referencing_attribute=_REGARDING,
        referencing_entity_navigation_property_name=f"{_REGARDING}_{table.logical_name}",
        referenced_entity_navigation_property_name=name,
        cascade_delete=CascadeDelete.NO_CASCADE,
        metadata_id=stable_id("relationships", name, table.logical_name),
    )
