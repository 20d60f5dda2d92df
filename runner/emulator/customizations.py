"""Changes the tables of a running environment, and stores the changes in its database.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/create-edit-entity-metadata
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeAlias

from runner.emulator.errors import AttributeNotFound, CannotDeleteDueToAssociation, EntityNotFound, InvalidArgument
from runner.emulator.metadata.companions import companions
from runner.emulator.metadata.customize import customized
from runner.emulator.metadata.model import AttributeType, Column, Metadata, OptionSet, Table
from runner.emulator.rows.auto_numbers import AutoNumber
from runner.emulator.rows.files import delete_files_of_column
from runner.emulator.storage.store import Store
from runner.emulator.storage.upgrade import finish_upgrade
from runner.emulator.transaction import Transaction

_log = logging.getLogger(__name__)

#: The prefix of a global choice's name in the database, which no table has.
_OPTION_SET = "option set "
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/define-alternate-keys-entity
MAX_KEYS = 10
_KEY_TYPES = (
    AttributeType.STRING,
    AttributeType.INTEGER,
    AttributeType.DECIMAL,
    AttributeType.DATE_TIME,
    AttributeType.PICKLIST,
    AttributeType.LOOKUP,
)
_NUMBER = re.compile(r"-?\d+\Z")

#: A description as in a table's YAML file.
Description: TypeAlias = dict[str, Any]


class Customizations:
    """The customizations of an environment's initial metadata.

    The caller makes changes inside a transaction, and calls :meth:`reload` after a rollback. ``changed`` is called
    after every change of the tables.
    """

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._base = store.metadata
        self._changed = changed
        self._made: dict[str, Description] = {}
        self._option_sets: dict[str, Description] = {}
        self._read_kept()
        if store.is_outdated:
            self._upgrade()
        self._use()

    @property
    def metadata(self) -> Metadata:
        return self._store.metadata

    def reload(self) -> None:
        """Read the customizations again from the database."""
        self._read_kept()
        self._use()

    def _read_kept(self) -> None:
        kept = {name: _read(text) for name, text in self._store.customizations()}
        self._option_sets = {
            name.removeprefix(_OPTION_SET): body for name, body in kept.items() if name.startswith(_OPTION_SET)
        }
        self._made = {name: body for name, body in kept.items() if not name.startswith(_OPTION_SET)}

    def _upgrade(self) -> None:
        """Finish the upgrade of a file that an earlier version wrote. Keys that its rows violate have failed."""
        with Transaction(self._store):
            metadata = customized(self._base, self._made, self._option_sets)
            for name, description in self._made.items():
                self._fail_keys(metadata.tables[name], description)
                self._store.write_customization(name, json.dumps(description))
            finish_upgrade(self._store.execute, metadata)
        self._store.is_outdated = False

    def _fail_keys(self, table: Table, description: Description) -> None:
        for key, body in description.get("keys", {}).items():
            if not body.get("has_failed") and self._store.holds_twice(table, body["columns"]):
                body["has_failed"] = True
                _log.warning(
                    "The key %s of %s has failed, because case, accents and spaces at the end no longer tell its "
                    "values apart. Change one of the rows, and reactivate the key.",
                    key,
                    table.logical_name,
                )

    def _use(self) -> None:
        if self._made or self._option_sets or self._store.metadata is not self._base:
            self._store.use(customized(self._base, self._made, self._option_sets))
            self._changed()

    def _keep(self, table: str, description: Description) -> None:
        before = self._made
        self._made = {**before, table: description}
        try:
            self._use()
        except Exception:
            self._made = before
            raise
        self._store.write_customization(table, json.dumps(description))

    def _description(self, table: str) -> Description:
        """A copy of the table's customization, which can be changed."""
        if table not in self.metadata.tables:
            raise EntityNotFound.named(table)
        return deepcopy(self._made.get(table, {}))

    # --- adding ---------------------------------------------------------------------------------------------

    def create_table(self, description: Description) -> Table:
        """Create a table. Raises InvalidArgument when there is a table or entity set of that name."""
        name = description["logical_name"]
        if name in self.metadata.tables or description["entity_set_name"] in self.metadata.by_entity_set:
            raise InvalidArgument(f"An entity with the name '{name}' already exists. Specify a unique name.")
        for column, body in description["columns"].items():
            _refuse_no_format(name, column, body)
        self._keep(name, description)
        return self.metadata.tables[name]

    def create_column(self, table: str, name: str, body: Description) -> None:
        """Create a column. Raises EntityNotFound, or InvalidArgument when the column exists."""
        description = self._description(table)
        if name in self.metadata.tables[table].columns:
            raise InvalidArgument(f"An attribute with the name '{name}' already exists for entity '{table}'.")
        self._refuse_unknown_targets(body)
        _refuse_no_format(table, name, body)
        if "option_set" in body:
            body = {**body, "option_set": self.option_set(body["option_set"]).name}
        description.setdefault("columns", {})[name] = body
        self._keep(table, description)

    def _refuse_unknown_targets(self, body: Description) -> None:
        for target in body.get("targets", ()):
            if target not in self.metadata.tables:
                raise EntityNotFound.named(target)

    def update_column(self, table: str, name: str, changes: Description) -> None:
        """Change a column. Raises InvalidArgument when it does not exist, or its type would change.

        A column of moments that is to hold dates keeps the dates of its moments.
        """
        description = self._description(table)
        column = self.metadata.tables[table].columns.get(name)
        if column is None:
            raise AttributeNotFound.named(table, name)
        if changes.get("type", column.type) != column.type:
            raise InvalidArgument(f"'{name}' of '{table}' is {column.type}; the type of a column cannot be changed.")
        _refuse_no_format(table, name, changes)
        if changes.get("date_only", column.date_only) != column.date_only:
            self._hold_dates(table, column)
        kind = "columns" if name in description.get("columns", {}) else "changes"
        description.setdefault(kind, {}).setdefault(name, {}).update(changes)
        self._keep(table, description)

    def _hold_dates(self, table: str, column: Column) -> None:
        if column.date_only:
            raise InvalidArgument(
                f"The behavior of '{column.logical_name}' of '{table}' is DateOnly, which cannot be changed."
            )
        self._store.drop_times(table, column)

    def update_table(self, table: str, changes: Description) -> None:
        """Change a table's names or its change tracking. Raises EntityNotFound."""
        self._keep(table, {**self._description(table), **changes})

    def update_states(self, table: str, states: Description) -> None:
        """Set the states of a table, each with its status reasons. Raises EntityNotFound."""
        self.update_table(table, {"states": states})

    # --- global choices ---------------------------------------------------------------------------------------

    def option_set(self, key: str) -> OptionSet:
        """The global choice of that name or id. Raises InvalidArgument."""
        for found in self.metadata.option_sets.values():
            if key in (found.name, found.metadata_id):
                return found
        raise InvalidArgument(f"There is no global choice '{key}'.")

    def create_option_set(self, name: str, body: Description) -> OptionSet:
        """Create a global choice. Raises InvalidArgument when there is one of that name."""
        if name in self.metadata.option_sets:
            raise InvalidArgument(f"An OptionSet with the name '{name}' already exists.")
        self._keep_option_set(name, body)
        return self.metadata.option_sets[name]

    def update_option_set(self, name: str, changes: Description) -> None:
        """Change the names or options of a global choice, in all columns that use it. Raises InvalidArgument."""
        self.option_set(name)
        self._keep_option_set(name, {**self._option_sets[name], **changes})

    def delete_option_set(self, name: str) -> None:
        """Delete a global choice. Raises InvalidArgument, or CannotDeleteDueToAssociation when columns use it."""
        self.option_set(name)
        for table in self.metadata.tables.values():
            for column in table.columns.values():
                if column.option_set == name:
                    raise CannotDeleteDueToAssociation(
                        f"'{name}' cannot be deleted: '{column.logical_name}' of '{table.logical_name}' refers to it."
                    )
        self._option_sets = {each: body for each, body in self._option_sets.items() if each != name}
        self._use()
        self._store.write_customization(f"{_OPTION_SET}{name}", None)

    def _keep_option_set(self, name: str, body: Description) -> None:
        self._option_sets = {**self._option_sets, name: body}
        self._use()
        self._store.write_customization(f"{_OPTION_SET}{name}", json.dumps(body))

    # --- more to add ------------------------------------------------------------------------------------------

    def create_key(self, table: str, name: str, body: Description) -> None:
        """Create a key. If existing rows violate it, it is failed until :meth:`reactivate_key` succeeds.

        Raises InvalidArgument when the key exists, or a column does not exist or has a type that keys cannot have.
        """
        description = self._description(table)
        held = self.metadata.tables[table]
        if any(key.logical_name == name for key in held.keys):
            raise InvalidArgument(f"The entity '{table}' already has a key '{name}'.")
        for column in body["columns"]:
            if column not in held.columns:
                raise InvalidArgument(f"The key '{name}' contains '{column}', which is not an attribute of '{table}'.")
            if held.columns[column].type not in _KEY_TYPES:
                raise InvalidArgument(
                    f"The key '{name}' contains '{column}', which is {held.columns[column].type}. A key can have "
                    f"{', '.join(_KEY_TYPES)}."
                )
        if len(held.keys) >= MAX_KEYS:
            raise InvalidArgument(f"The entity '{table}' already has {MAX_KEYS} keys.")
        has_failed = self._store.holds_twice(held, body["columns"])
        description.setdefault("keys", {})[name] = {**body, "has_failed": has_failed}
        self._keep(table, description)

    def reactivate_key(self, table: str, name: str) -> None:
        """Retry to create a failed key. Raises EntityNotFound, or InvalidArgument when it is not a customization."""
        description = self._description(table)
        body = self._own(description, "keys", name)
        body["has_failed"] = self._store.holds_twice(self.metadata.tables[table], body["columns"])
        self._keep(table, description)

    def create_many_to_many(self, table: str, schema_name: str, body: Description) -> None:
        """Create a many-to-many relationship. Raises EntityNotFound, or InvalidArgument when it exists."""
        description = self._description(table)
        if body["with"] not in self.metadata.tables:
            raise EntityNotFound.named(body["with"])
        taken = {link.schema_name for link in self.metadata.many_to_many} | set(self.metadata.tables)
        if schema_name in taken or body["intersect"] in taken:
            raise InvalidArgument(f"A relationship or entity with the name '{schema_name}' already exists.")
        description.setdefault("many_to_many", {})[schema_name] = body
        self._keep(table, description)

    # --- taking away ----------------------------------------------------------------------------------------

    def delete_table(self, name: str) -> None:
        """Delete a table.

        Raises:
          InvalidArgument: it is not a customization.
          CannotDeleteDueToAssociation: lookups refer to it.
        """
        if name not in self.metadata.tables:
            raise EntityNotFound.named(name)
        if name in self._base.tables:
            raise InvalidArgument(f"'{name}' is a table of the platform and cannot be deleted.")
        self._refuse_dependents(name)
        for link in self._made[name].get("many_to_many", {}).values():
            self._store.drop_table(link["intersect"])
        for column in self.metadata.tables[name].file_columns:
            delete_files_of_column(self._store, name, column)
        self._made = {table: description for table, description in self._made.items() if table != name}
        self._store.drop_table(name)
        self._store.write_customization(name, None)
        self._use()

    def _refuse_dependents(self, name: str) -> None:
        tables, links = self.metadata.tables, self.metadata.many_to_many
        dependents = {
            each.referencing_entity
            for each in self.metadata.referenced_by(name)
            if not tables[each.referencing_entity].columns[each.referencing_attribute].may_dangle
        }
        dependents |= {link.entity1_logical_name for link in links if link.entity2_logical_name == name}
        if dependents - {name}:
            raise CannotDeleteDueToAssociation(
                f"'{name}' cannot be deleted: {', '.join(sorted(dependents))} refers to it. Delete those columns first."
            )

    def delete_column(self, table: str, name: str) -> None:
        """Delete a column. Raises InvalidArgument for one of the platform, of a key, or with the primary name."""
        description = self._description(table)
        self._own(description, "columns", name)
        held = self.metadata.tables[table]
        if name == held.primary_name_attribute or any(name in key.columns for key in held.keys):
            raise InvalidArgument(f"'{name}' of '{table}' is the primary name or part of a key and cannot be deleted.")
        if name in held.file_columns:
            delete_files_of_column(self._store, table, name)
        for column in (held.columns[name], *companions(table, held.columns[name])):
            self._store.drop_column(held, column)
        del description["columns"][name]
        self._keep(table, description)

    def delete_key(self, table: str, name: str) -> None:
        """Delete a key. Raises InvalidArgument when it is not a customization."""
        description = self._description(table)
        self._own(description, "keys", name)
        self._store.drop_key(table, name)
        del description["keys"][name]
        self._keep(table, description)

    def delete_many_to_many(self, table: str, schema_name: str) -> None:
        """Delete a many-to-many relationship. Raises InvalidArgument when it is not a customization."""
        description = self._description(table)
        self._store.drop_table(self._own(description, "many_to_many", schema_name)["intersect"])
        del description["many_to_many"][schema_name]
        self._keep(table, description)

    def _own(self, description: Description, kind: str, name: str) -> Description:
        try:
            body: Description = description[kind][name]
        except KeyError:
            raise InvalidArgument(
                f"'{name}' is not a customization, so it can be neither changed nor deleted."
            ) from None
        return body


def _read(text: str) -> Description:
    """Read a description from JSON, and turn the keys of options and states into numbers again."""
    description: Description = json.loads(
        text, object_pairs_hook=lambda pairs: {int(key) if _NUMBER.match(key) else key: value for key, value in pairs}
    )
    return description


def _refuse_no_format(table: str, column: str, body: Description) -> None:
    """Raises InvalidArgument when the column's autonumber format is not valid."""
    text = body.get("auto_number_format")
    if text is not None:
        AutoNumber(table, column, text)
