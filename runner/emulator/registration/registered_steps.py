"""The registered steps: whatever rows ``sdkmessageprocessingstep`` holds at the moment decide what runs.

Steps given to the emulator are written there, as managed; whatever is created, changed, disabled or deleted there
counts from then on, inside the transaction at once, and not at all once that is rolled back.

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

#: A step's rows: as long as all their versions are the same, it is the same step.
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
    """A step, and the versions of the rows it was made from. None is one that cannot run."""

    versions: tuple[Any, ...]
    step: Step | None


class RegisteredSteps:
    """Answers what to run, as :class:`StepTable` does, from rows that may have changed since the last answer."""

    def __init__(self, store: Store, records: Records, environment: NotifyingEnvironment) -> None:
        self._store = store
        self._records = records
        self._messages = SdkMessages(store)
        self._secrets = WriteOnlyColumns(store)
        self._reader = StepReader(store, records, self._secrets, environment)
        #: With plug-in instances, which rows cannot hold.
        self._given: dict[str, Step] = {}
        #: The platform's own: they have no rows.
        self._internal: list[Step] = []
        #: The messages of custom APIs given with their plug-ins, and the tables they are bound to.
        self._own_messages: dict[str, str | None] = {}
        self._made: dict[str, _Made] = {}
        self._table = StepTable()
        #: What it was made from.
        self._compiled: dict[str, tuple[Any, ...]] = {}
        self._generation = -1

    # --- what to run ----------------------------------------------------------------------------------------

    def plans(self, message: str, entity: str) -> Plans | None:
        """None when no step is registered, directly or through the counterpart."""
        if self._generation != self._store.generation:
            self._refresh()
        return self._table.plans(message, entity)

    def __iter__(self) -> Iterator[Step]:
        self._refresh()
        return iter(self._table)

    @property
    def is_empty(self) -> bool:
        """Whether no request can set anything in motion."""
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
        """The step a row stands for; None for one that cannot run any more, as when its plug-in is gone."""
        try:
            return self._reader.step(id, self._given.get(id))
        except OrganizationServiceFault as fault:
            _log.warning("Step %s does not run: %s", id, fault.message)
            return None

    # --- steps that come with their plug-ins ------------------------------------------------------------------

    def add(self, step: Step) -> None:
        """Register a step under its id, or under another where a step of that id is registered already.

        Raises:
          StepError: there is no such message, table or column, or a value is none that Dataverse would keep.
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
        """A custom API happens to the rows of the table it is bound to, and to no others."""
        for name, table in self._own_messages.items():
            if step.entity and name.lower() == step.message.lower() and step.entity != table:
                bound = f"is bound to {table}" if table else "is bound to no table"
                raise StepError(f"Step {step.name!r}: {name} {bound}. Leave out entity (0x80044187).")

    def add_internal(self, step: Step) -> None:
        """Register a step of the platform's own."""
        self._internal.append(step)
        self._table.add(step)

    def message(self, name: str, table: str | None) -> None:
        """Let steps be registered on a message of one's own."""
        self._own_messages[name] = table
        self._messages.message(name)

    def follow_metadata(self) -> None:
        """Have message filters for the tables there are now."""
        with self._transaction():
            self._messages.follow_metadata()
        self._generation = -1

    def reconcile(self) -> None:
        """After other rows have taken the place of those there were: have the given steps among them, and no others."""
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
        """Managed steps whose plug-ins nobody gave this time."""
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
        """Surrounds every write of a row: what the registration tables hold must be something that can run.

        Leaving it raises InvalidArgument, with the platform's code, when it is not.
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
        """Steps may listen to a custom API from the moment it is declared."""
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
