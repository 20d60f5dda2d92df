"""Keeps the registered steps: the rows of ``sdkmessageprocessingstep`` decide which steps run.

Steps added in code are written there as managed rows. Rows that are created, updated, disabled or deleted take effect
at once within the transaction, and a rollback undoes that.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference
from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.metadata.stable_ids import stable_id
from runner.emulator.notifications.notification import NotifyingEnvironment
from runner.emulator.pipeline.step_table import Plans, StepTable
from runner.emulator.registration.custom_api_rows import CUSTOM_API, DECLARATIONS, check_declaration
from runner.emulator.registration.sdk_messages import SdkMessages
from runner.emulator.registration.step_reader import StepReader
from runner.emulator.registration.step_rows import (
    CHECKED,
    ENDPOINT,
    IMAGE,
    SECURE_CONFIG,
    STEP,
    assembly_row,
    image_rows,
    step_row,
    type_row,
)
from runner.emulator.registration.write_only import WriteOnlyColumns
from runner.emulator.rows.records import Records
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.storage.store import Store
from runner.emulator.transaction import Transaction
from runner.execution.step import Step, StepError

_log = logging.getLogger(__name__)

_NOTHING = nullcontext()

#: The versions of a step's rows. While they are the same, the step has not changed.
_VERSIONS = f"""
    SELECT step.{STEP}id, step.versionnumber, endpoint.versionnumber, secure.versionnumber, image.versionnumber
    FROM {STEP} AS step
    LEFT JOIN {ENDPOINT} AS endpoint ON endpoint.{ENDPOINT}id = step.eventhandler
    LEFT JOIN {SECURE_CONFIG} AS secure ON secure.{SECURE_CONFIG}id = step.{SECURE_CONFIG}id
    LEFT JOIN {IMAGE} AS image ON image.{STEP}id = step.{STEP}id
    WHERE step.statecode = 0 ORDER BY image.versionnumber
"""  # noqa: S608 - names of ours


@dataclass(frozen=True, slots=True)
class _Made:
    """A step, or None if it cannot run, and the versions of the rows it was made from."""

    versions: tuple[Any, ...]
    step: Step | None


class RegisteredSteps:
    """Finds the steps to run, as :class:`StepTable` does, from rows that may change at any time."""

    def __init__(self, store: Store, records: Records, environment: NotifyingEnvironment) -> None:
        self._store = store
        self._records = records
        self._messages = SdkMessages(store)
        self._secrets = WriteOnlyColumns(store)
        self._reader = StepReader(store, records, self._secrets, environment)
        #: Steps added in code, with their plug-in instances, which rows cannot hold.
        self._given: dict[str, Step] = {}
        #: The platform's own steps, which have no rows.
        self._internal: list[Step] = []
        #: The messages of custom APIs added in code, and the tables they are bound to.
        self._own_messages: dict[str, str | None] = {}
        self._made: dict[str, _Made] = {}
        self._table = StepTable()
        #: What it was made from.
        self._compiled: dict[str, tuple[Any, ...]] = {}
        self._generation = -1

    # --- what to run ----------------------------------------------------------------------------------------

    def plans(self, message: str, entity: str) -> Plans | None:
        """The steps to run for a message; None when there are none, for the message or its counterpart."""
        if self._generation != self._store.generation:
            self._refresh()
        return self._table.plans(message, entity)

    def __iter__(self) -> Iterator[Step]:
        self._refresh()
        return iter(self._table)

    @property
    def is_empty(self) -> bool:
        """Whether there are no steps at all."""
        if self._generation != self._store.generation:
            self._refresh()
        return not self._compiled and not self._internal

    def _refresh(self) -> None:
        self._generation = self._store.generation
        versions = self._versions()
        if versions == self._compiled:
            return
        self._made = {id: self._made_from(id, rows) for id, rows in versions.items()}
        self._table = StepTable([*self._internal, *(made.step for made in self._made.values() if made.step)])
        self._compiled = versions

    def _made_from(self, id: str, versions: tuple[Any, ...]) -> _Made:
        made = self._made.get(id)
        return made if made and made.versions == versions else _Made(versions, self._usable(id))

    def _versions(self) -> dict[str, tuple[Any, ...]]:
        versions: dict[str, tuple[Any, ...]] = {}
        for id, *rows in self._store.execute(_VERSIONS):
            versions[id] = (*versions[id], rows[-1]) if id in versions else tuple(rows)
        return versions

    def _usable(self, id: str) -> Step | None:
        """The step of a row; None for one that cannot run any more, as when its plug-in no longer exists."""
        try:
            return self._reader.step(id, self._given.get(id))
        except OrganizationServiceFault as fault:
            _log.warning("Step %s does not run: %s", id, fault.message)
            return None

    # --- steps that come with their plug-ins ------------------------------------------------------------------

    def add(self, step: Step) -> None:
        """Register a step under its id, or under a new one if that id is already registered.

        Raises:
          StepError: there is no such message, table or column, or Dataverse would refuse a value.
        """
        self._messages.check(step)
        self._check_table(step)
        while step.id in self._given:
            step = replace(step, id=stable_id(step.id, "again"))
        self._given[step.id] = step
        try:
            with self._transaction():
                self._write(step)
        except OrganizationServiceFault as fault:
            del self._given[step.id]
            raise StepError(f"Step {step.name!r}: {fault.message} (0x{fault.code:08x})") from fault

    def _check_table(self, step: Step) -> None:
        """Raises StepError for a step of a custom API on another table than the API is bound to."""
        for name, table in self._own_messages.items():
            if step.entity and name.lower() == step.message.lower() and step.entity != table:
                bound = f"is bound to {table}" if table else "is bound to no table"
                raise StepError(f"Step {step.name!r}: {name} {bound}. Leave out entity (0x80044187).")

    def add_internal(self, step: Step) -> None:
        """Register a step of the platform itself, which has no row."""
        self._internal.append(step)
        self._table.add(step)

    def message(self, name: str, table: str | None) -> None:
        """Allow steps on the message of a custom API."""
        self._own_messages[name] = table
        self._messages.message(name)

    def follow_metadata(self) -> None:
        """Update the message filters after the metadata has changed."""
        with self._transaction():
            self._messages.follow_metadata()
        self._generation = -1

    def reconcile(self) -> None:
        """Make the managed rows match the steps added in code, after the database was replaced."""
        held = {row[0] for row in self._store.execute(f"SELECT {STEP}id FROM {STEP}")}  # noqa: S608
        with self._transaction():
            for name in self._own_messages:
                self._messages.message(name)
            self._forget_earlier()
            for step in self._given.values():
                if step.id not in held:
                    self._write(step)
        self._generation = -1

    def _forget_earlier(self) -> None:
        """Delete the managed rows of earlier runs whose steps were not added in this one."""
        managed = self._store.execute(f"SELECT {STEP}id FROM {STEP} WHERE ismanaged = 1").fetchall()  # noqa: S608
        for (id,) in managed:
            if id not in self._given:
                self._records.delete(EntityReference(STEP, id))

    def _write(self, step: Step) -> None:
        assembly = assembly_row(step)
        handler = type_row(step, assembly)
        message = self._messages.message(step.message)
        message_filter = self._messages.filter(step.message, step.entity) if step.entity else None
        row = step_row(step, handler.to_entity_reference(), message, message_filter)
        if step.run_as and self._exists(EntityReference("systemuser", step.run_as)):
            row["impersonatinguserid"] = EntityReference("systemuser", step.run_as)
        if self._exists(EntityReference(STEP, step.id)):
            self._records.delete(EntityReference(STEP, step.id))
        for each in (assembly, handler):
            if not self._exists(each.to_entity_reference()):
                self._records.create(each, SYSTEM_USER_ID)
        for each in (row, *image_rows(step)):
            self._records.create(each, SYSTEM_USER_ID)
        self._store.execute(f"UPDATE {STEP} SET ismanaged = 1 WHERE {STEP}id = ?", (step.id,))  # noqa: S608
        self._keep(step)

    def _keep(self, step: Step) -> None:
        self._made[step.id] = _Made(self._versions()[step.id], step)
        self._generation = -1

    def _transaction(self) -> AbstractContextManager[Any]:
        return _NOTHING if self._store.in_transaction else Transaction(self._store)

    # --- writes of others -------------------------------------------------------------------------------------

    def writing(self, target: Entity) -> AbstractContextManager[Any]:
        """A context manager around each write of a row. It validates the rows of the registration tables.

        On exit it raises InvalidArgument, with Dataverse's code, for a row that cannot run.
        """
        return self._checked(target) if target.logical_name in CHECKED else _NOTHING

    @contextmanager
    def _checked(self, target: Entity) -> Iterator[None]:
        taken = self._secrets.take(target)
        yield
        id = target.id or EMPTY_GUID
        self._secrets.keep(id, taken)
        if target.logical_name == ENDPOINT:
            self._reader.endpoint(id)
        if target.logical_name in DECLARATIONS:
            self._check_declaration(EntityReference(target.logical_name, id))
            return
        for step in self._reader.steps_of(EntityReference(target.logical_name, id)):
            self._reader.step(step, self._given.get(step))

    def _check_declaration(self, reference: EntityReference) -> None:
        """Validate a row that declares a custom API. Steps can then be registered on its message."""
        row = self._records.retrieve(reference, formatted=False)
        check_declaration(self._store, row)
        if row.logical_name == CUSTOM_API:
            self._have_message(row)

    def _have_message(self, row: Entity) -> None:
        self._messages.message(row["uniquename"])
        if row.get("boundentitylogicalname"):
            self._messages.filter(row["uniquename"], row["boundentitylogicalname"])

    def _exists(self, reference: EntityReference) -> bool:
        return self._records.resolve_key(reference) is not None
