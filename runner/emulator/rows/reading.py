"""Reads rows by id, by alternate key, by query and as images, and lists deleted ones."""

from __future__ import annotations

from collections.abc import Sequence

from dataverse_client.types import (
    EMPTY_GUID,
    AliasedValue,
    Entity,
    EntityCollection,
    EntityReference,
    QueryExpression,
    guid,
)
from runner.emulator.errors import InvalidArgument, ObjectDoesNotExist, RecordNotFoundByEntityKey
from runner.emulator.query.expression_reading import from_query_expression
from runner.emulator.query.model import Query
from runner.emulator.query.plan import run_query
from runner.emulator.rows.keys import id_by_key
from runner.emulator.rows.table_records import TableRecords, Tables
from runner.emulator.storage.file_blocks import Upload, find_upload
from runner.emulator.storage.store import Store


class ReadableRecords:
    """Read access to the rows of one environment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tables = Tables(store)

    def forget_tables(self) -> None:
        """Empty the caches that depend on the metadata, after it has changed."""
        self.tables.clear()

    def retrieve(
        self, reference: EntityReference, columns: Sequence[str] | None = None, *, formatted: bool = True
    ) -> Entity:
        """Read a row: those of ``columns`` (None: all) that have a value. Amounts include the currency.

        ``formatted`` adds the names of lookups and the formatted values.

        Raises:
          ObjectDoesNotExist: there is no such row.
          AttributeNotFound: the table has no such column.
        """
        table = self.tables[reference.logical_name]
        entity = self._read(table, self._resolved(reference), None if columns is None else tuple(columns))
        if formatted:
            table.formats.name_lookups(entity)
            table.formats.apply(entity)
        return entity

    def retrieve_multiple(self, query: Query | QueryExpression, *, formatted: bool = True) -> EntityCollection:
        """Run a query and return the requested page; ``formatted`` as in :meth:`retrieve`.

        Raises:
          InvalidArgument: (one of its kinds) a table, column, operator, value or cookie is wrong; the message names it.
        """
        if isinstance(query, QueryExpression):
            query = from_query_expression(query, self._store.metadata)
        answer = run_query(self._store, query)
        if formatted:
            formats = self.tables[query.entity_name].formats
            for entity in answer.entities:
                formats.name_lookups(entity)
                formats.apply(entity)
                self._format_aliased(entity)
        return answer

    def _format_aliased(self, entity: Entity) -> None:
        for key, value in entity.attributes.items():
            if isinstance(value, AliasedValue) and key not in entity.formatted_values:
                formats = self.tables[value.entity_logical_name].formats
                text = formats.text(value.attribute_logical_name, value.value)
                if text is not None:
                    entity.formatted_values[key] = text

    def format(self, target: Entity) -> None:
        """Add the formatted values to a Target."""
        self.tables[target.logical_name].formats.apply(target)

    def resolve_key(self, row: Entity | EntityReference) -> str | None:
        """The id of the row that is given by id or alternate key; None when there is no such row.

        Raises:
          EntityKeyNotDefined: the key attributes are not an alternate key of the table.
          InvalidArgument: (one of its kinds) a key attribute's value does not fit its column.
        """
        table = self.tables[row.logical_name]
        if row.id is not None and row.id != EMPTY_GUID:
            id = guid(row.id)
            return id if self._version(table, id) else None
        if not row.key_attributes:
            raise InvalidArgument(f"The {table.name} has neither an id nor an alternate key. Set one of them.")
        return id_by_key(self._store, table, row.key_attributes)

    def must_exist(self, *references: EntityReference) -> None:
        """Raises ObjectDoesNotExist for the first row that does not exist."""
        for reference in references:
            if self._version(self.tables[reference.logical_name], reference.id) is None:
                raise ObjectDoesNotExist.of(reference.logical_name, reference.id)

    def upload(self, token: str) -> Upload | None:
        """The upload that FileContinuationToken is of; None when there is none, or it is committed."""
        return find_upload(self._store, token)

    # --- images -----------------------------------------------------------------------------------------------

    def image(self, reference: EntityReference, columns: Sequence[str] | None = None) -> Entity:
        """A snapshot of the row with exactly these columns, and the id.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context#entity-images
        """
        entity = self.retrieve(reference, columns)
        entity.row_version = None
        if columns is not None and "transactioncurrencyid" not in columns:
            entity.attributes.pop("transactioncurrencyid", None)
            entity.formatted_values.pop("transactioncurrencyid", None)
        return entity

    def image_of_new(self, target: Entity, columns: Sequence[str] | None = None) -> Entity:
        """As :meth:`image`, for a row just created from this Target, which is not read again."""
        new_images = self.tables[target.logical_name].new_images
        return new_images.image(target, None if columns is None else tuple(columns))

    # --- change tracking --------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The greatest row version so far. Later changes have greater ones."""
        return self._store.version

    def deleted(self, logical_name: str, since: int, until: int) -> list[str]:
        """The ids of rows deleted after version ``since``, up to ``until``, and not created again.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
        """
        primary_id = self.tables[logical_name].table.primary_id_attribute
        sql = (
            f'SELECT d.id FROM deleted_row AS d LEFT JOIN "{logical_name}" AS t ON t."{primary_id}" = d.id '  # noqa: S608 - names of metadata
            f'WHERE d.table_name = ? AND d.version > ? AND d.version <= ? AND t."{primary_id}" IS NULL '
            "GROUP BY d.id ORDER BY max(d.version)"
        )
        return [row[0] for row in self._store.execute(sql, (logical_name, since, until))]

    # --- one row of one table ---------------------------------------------------------------------------------

    def _resolved(self, reference: EntityReference) -> str:
        if reference.id != EMPTY_GUID or not reference.key_attributes:
            return reference.id
        id = self.resolve_key(reference)
        if id is None:
            raise RecordNotFoundByEntityKey.in_table(reference.logical_name)
        return id

    def _read(self, table: TableRecords, id: str, columns: tuple[str, ...] | None) -> Entity:
        sql, reader = table.read(columns)
        row = self._store.execute(sql, (id,)).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(table.name, id)
        return reader.read(row)

    def _version(self, table: TableRecords, id: str) -> tuple[int | None] | None:
        """The row's version in a tuple; None when there is no such row."""
        row: tuple[int | None] | None = self._store.execute(table.version_sql, (id,)).fetchone()
        return row
