"""Makes entity images: snapshots of a row before or after the operation, with a step's columns.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context#entity-images
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dataverse_client.types import Entity
from runner.emulator.pipeline.step_table import Snapshot
from runner.execution.step import Image

#: The image that every asynchronous step has without registering it.
PRIMARY_NAME_ALIAS = "AsynchronousStepPrimaryName"


def images_of(images: Iterable[Image], row: Entity | None) -> dict[str, Entity]:
    """A separate snapshot for every image; none when there is no row."""
    if row is None:
        return {}
    return {image.alias: excerpt(row, image.columns) for image in images}


def image_collection(images: Sequence[Image], rows: Iterable[Entity | None]) -> tuple[dict[str, Entity], ...]:
    """The images of each row of Targets, in order; empty when no images are registered."""
    return tuple(images_of(images, row) for row in rows) if images else ()


def with_primary_name(images: Mapping[str, Entity], row: Entity | None, columns: Sequence[str]) -> Mapping[str, Entity]:
    """The images, with the one that every asynchronous step has without registering it."""
    return images if row is None else {**images, PRIMARY_NAME_ALIAS: excerpt(row, columns)}


def with_columns(wanted: Snapshot | None, columns: tuple[str, ...]) -> Snapshot:
    """The same snapshot, with at least these columns."""
    if wanted is None:
        return Snapshot(columns)
    return wanted if wanted.columns is None else Snapshot(tuple(dict.fromkeys(wanted.columns + columns)))


def excerpt(row: Entity, columns: Sequence[str] | None) -> Entity:
    """A copy with those of the columns that have a value."""
    if columns is None:
        return row.copy()
    part, attributes, formatted = Entity(row.logical_name, row.id), row.attributes, row.formatted_values
    for name in columns:
        if name in attributes:
            part.attributes[name] = attributes[name]
            if name in formatted:
                part.formatted_values[name] = formatted[name]
    return part
