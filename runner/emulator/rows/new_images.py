"""Makes the image of a row just created from its Target, which spares reading the row again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dataverse_client.types import Entity
from runner.emulator.metadata.model import Table
from runner.emulator.query.reader import check_columns
from runner.emulator.rows.formats import Formats
from runner.emulator.storage.store import Store
from runner.emulator.storage.values import Codec

#: Columns that rows created one after the other have in common. The rows that they refer to are cached too: see Facts.
_IN_COMMON = frozenset(
    {
        "createdby",
        "createdon",
        "exchangerate",
        "modifiedby",
        "modifiedon",
        "organizationid",
        "ownerid",
        "owningbusinessunit",
        "owningteam",
        "owninguser",
        "statecode",
        "statuscode",
        "transactioncurrencyid",
    }
)
_COLUMN_SETS_KEPT = 1024


class NewImages:
    """The images of one table's new rows."""

    def __init__(self, store: Store, table: Table, formats: Formats) -> None:
        self._store = store
        self._table = table
        self._codecs = store.codecs[table.logical_name]
        self._formats = formats
        self._chosen = lru_cache(_COLUMN_SETS_KEPT)(self._codecs_of)
        self._generation = -1
        #: By column: the value in the last Target, the same in its image, and its formatted value.
        self._shown: dict[str, tuple[Any, Any, str | None]] = {}

    def image(self, target: Entity, columns: tuple[str, ...] | None) -> Entity:
        """The row just created from this Target, as reading it would return it. Raises AttributeNotFound."""
        if self._generation != self._store.generation:
            self._generation, self._shown = self._store.generation, {}
        image = Entity(target.logical_name, target.id, {self._table.primary_id_attribute: target.id})
        written, shown = self._written(target), self._shown
        for codec in self._chosen(columns):
            name = codec.name
            given = written.get(name)
            if given is None:
                continue
            known = shown.get(name)
            _, value, text = known if known and known[0] is given else self._show(codec, given, target)
            if value is not None:
                image.attributes[name] = value
            if text is not None:
                image.formatted_values[name] = text
        return image

    def _show(self, codec: Codec, given: Any, target: Entity) -> tuple[Any, Any, str | None]:
        stored = codec.stored(given)
        if stored is None:
            return given, None, None
        shown = (given, *self._formats.shown(codec.name, codec.decode(stored), target))
        if codec.name in _IN_COMMON:
            self._shown[codec.name] = shown
        return shown

    def _written(self, target: Entity) -> Mapping[str, Any]:
        """The columns of the Target, and those that SQLite or the store set."""
        written: dict[str, Any] = {**target.attributes, "versionnumber": self._store.version}
        owner = written.get("ownerid")
        if owner is not None:
            written["owninguser" if owner.logical_name == "systemuser" else "owningteam"] = owner
        return written

    def _codecs_of(self, columns: tuple[str, ...] | None) -> tuple[Codec, ...]:
        names = self._codecs if columns is None else columns
        check_columns(self._table, names)
        return tuple(self._codecs[name] for name in names if name != self._table.primary_id_attribute)
