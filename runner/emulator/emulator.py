"""The embedded Dataverse: rows, messages and the event pipeline in one object.

    emulator = Emulator([Step(plugin=RequireName(), message="Create", entity="new_payment", stage=20)])
    crm = emulator.service()
    payment_id = crm.create(Entity("new_payment", attributes={"new_name": "Invoice 7"}))
    emulator.run_jobs()

Source: https://learn.microsoft.com/power-apps/developer/data-platform/event-framework
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.secrets import Secrets
from dataverse_client.types import (
    Entity,
    OptionSetValue,
    OrganizationRequest,
    OrganizationResponse,
    OrganizationService,
)
from runner.emulator.call import Bypass
from runner.emulator.custom_api import CustomApi, custom_apis_from
from runner.emulator.customizations import Customizations
from runner.emulator.database_lock import DatabaseLock
from runner.emulator.engine import Engine
from runner.emulator.job_queue import JobWorker
from runner.emulator.job_runner import release_due, run_job
from runner.emulator.jobs import Job
from runner.emulator.metadata.load import load_metadata
from runner.emulator.metadata.model import Metadata
from runner.emulator.notifications import SenderFactory
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.records import Records
from runner.emulator.seed import (
    ADMINISTRATOR_ID,
    ORGANIZATION_ID,
    ORGANIZATION_NAME,
    ROOT_BUSINESS_UNIT_ID,
    SYSTEM_USER_ID,
)
from runner.emulator.store import Store
from runner.emulator.trace_log import TraceSetting
from runner.emulator.transaction import Transaction
from runner.execution.execution import Execution
from runner.execution.load import steps_from
from runner.execution.message_service import MessageService
from runner.execution.services import Services
from runner.execution.step import Step
from runner.plugin import Organization
from runner.tracing.model import TraceSink

if TYPE_CHECKING:
    from runner.registrations.model import Registrations

_EMBEDDED = Organization(
    organization_id=ORGANIZATION_ID, organization_name=ORGANIZATION_NAME, business_unit_id=ROOT_BUSINESS_UNIT_ID
)

#: How long a request waits for another one's transaction: no longer than half of what a webhook has to answer in.
LOCK_TIMEOUT = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything an emulator held at one moment, for :meth:`Emulator.restore`."""

    rows: sqlite3.Connection
    jobs: tuple[Job, ...]


class Emulator:
    """An environment of one organization, in memory or in a file. Safe to use from several threads.

    One request is served at a time. While it is, others that only read see what was last committed if the rows are in
    a file; all else waits, and fails with SqlTimeout when that takes longer than ``lock_timeout``.

    ``database`` None keeps everything in memory; ``durable`` False is for a file that nobody needs after a power cut.
    ``services`` are what plug-ins get from ``context.service``, by
    type: an object, or a function that makes one when first asked. ``sink`` hears of everything that runs.
    ``service_bus_senders`` finds what takes the messages of a Service Bus endpoint, for instance a queue of one's own.
    ``back_off`` is how long a job that asks to be retried waits at first; each time it is twice as long. Dataverse's
    own pauses are not documented.
    """

    system_user_id = SYSTEM_USER_ID
    administrator_id = ADMINISTRATOR_ID

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        database: Path | None = None,
        durable: bool = True,
        metadata: Metadata | None = None,
        clock: Clock | None = None,
        services: Mapping[type, Any] | None = None,
        sink: TraceSink | None = None,
        organization: Organization = _EMBEDDED,
        trace_setting: TraceSetting = TraceSetting.ALL,
        service_bus_senders: SenderFactory | None = None,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        back_off: timedelta = timedelta(0),
    ) -> None:
        """Raises DatabaseInUseError: another emulator, of whatever process, has the ``database``."""
        self.clock: Clock = clock or SystemClock()
        self.organization = organization
        self._lock = DatabaseLock(database) if database is not None else None
        self._engine = Engine(
            Store(metadata or load_metadata(), database, durable=durable),
            self.clock,
            Services(services or {}),
            organization,
            sink,
            service_bus_senders,
            lock_timeout,
            back_off,
        )
        for step in steps:
            self._engine.steps.add(step)
        self._worker: JobWorker | None = None
        self._set_up_tracing(trace_setting)

    def _set_up_tracing(self, setting: TraceSetting) -> None:
        engine = self._engine
        if engine.trace_log.setting() is not setting:
            row = Entity("organization", ORGANIZATION_ID, {"plugintracelogsetting": OptionSetValue(setting)})
            with Transaction(engine.store):
                engine.records.update(row, SYSTEM_USER_ID)

    @property
    def metadata(self) -> Metadata:
        return self._engine.store.metadata

    @property
    def records(self) -> Records:
        """Stage 30 alone: rows without steps. For setting a scene, not for acting it."""
        return self._engine.records

    def reading(self) -> AbstractContextManager[ReadableRecords]:
        """``with emulator.reading() as rows:`` looks at the rows without steps, and without waiting for others.

        Beside a transaction of another thread they are as last committed, if they are in a file.
        """
        return self._engine.reading()

    def follow_changes(self, table: str) -> None:
        """Have the table's changes found without looking at every row. Tables nobody follows pay nothing for it."""
        self._engine.follow_changes(table)

    # --- requests ------------------------------------------------------------------------------------------

    def execute(
        self,
        request: OrganizationRequest,
        *,
        user_id: str | None = None,
        tag: str | None = None,
        bypass: Bypass | None = None,
        authenticated_user_id: str | None = None,
    ) -> OrganizationResponse:
        """Carry out a message as that user (None: the administrator), with every step it sets in motion.

        ``authenticated_user_id`` is who really calls, where that is another: rows tell on whose behalf they changed.
        ``tag`` becomes the shared variable of that name; ``bypass`` says which steps not to run.

        Raises:
          OrganizationServiceFault: (one of its kinds) the platform or a synchronous step refused. Nothing remains
            of what the request did.
        """
        results = self._engine.receive(
            user_id or ADMINISTRATOR_ID,
            request.message_name,
            request.parameters,
            tag=tag,
            bypass=bypass,
            authenticated_user_id=authenticated_user_id,
        )
        return OrganizationResponse(request.message_name, results)

    def service(self, user_id: str | None = None) -> OrganizationService:
        """CRM as that user (None: the administrator), for calls from outside."""
        return MessageService(partial(self._engine.receive, user_id or ADMINISTRATOR_ID))

    def transaction(self) -> AbstractContextManager[None]:
        """``with emulator.transaction():`` makes the requests inside one: all of them count, or none.

        Their steps run inside it from stage 10 on, as in a change set. Other threads wait.
        """
        return self._engine.transaction()

    def customizing(self) -> AbstractContextManager[Customizations]:
        """``with emulator.customizing() as customizations:`` changes tables, columns, keys and relationships.

        All that is changed inside counts, or nothing. It is kept in the database and usable at once.
        """
        return self._engine.customizing()

    # --- steps ---------------------------------------------------------------------------------------------

    def register(self, step: Step) -> None:
        """Raises StepError: there is no such message, table or column, so that the step would never run."""
        with self._engine.turn:
            self._engine.steps.add(step)

    def register_api(self, api: CustomApi) -> None:
        """Make a message of one's own known, with its plug-in.

        Raises StepError: its name is a message of the platform's, or the table it is bound to is not there.
        """
        self._engine.register_api(api)

    @property
    def custom_apis(self) -> Mapping[str, CustomApi]:
        """What is registered now, by name."""
        return self._engine.custom_apis.by_name

    def register_from(self, registrations: Registrations, secrets: Secrets | None = None) -> None:
        """Register the steps and custom APIs of a registrations file.

        ``secrets`` resolves its references; None: those to environment variables.

        Raises:
          PluginLoadError: a plug-in cannot be found or made.
          SecretError: a reference cannot be resolved.
          StepError: Dataverse would refuse a step.
        """
        secrets = secrets or Secrets.from_environment(os.environ)
        for api in custom_apis_from(registrations, secrets):
            self.register_api(api)
        for step in steps_from(registrations, secrets):
            self.register(step)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is registered now."""
        with self._engine.turn:
            return tuple(self._engine.steps)

    @property
    def is_prompt(self) -> bool:
        """Whether a request would be answered at once: none is being served, and no step could take its time."""
        turn = self._engine.turn
        if not turn.acquire(blocking=False):
            return False
        try:
            return self._engine.steps.is_empty
        finally:
            turn.release()

    @property
    def executions(self) -> tuple[Execution, ...]:
        """What ran, in order, each with its context: the last two thousand."""
        return tuple(Execution(context, host) for context, host in tuple(self._engine.executions))

    # --- asynchronous steps --------------------------------------------------------------------------------

    @property
    def pending_jobs(self) -> tuple[Job, ...]:
        """In the order they will run, those first that an earlier process left in the file, paused ones last."""
        self._engine.resume_jobs()
        return tuple(self._engine.jobs)

    def run_jobs(self) -> int:
        """Run asynchronous steps until none is due, those they set in motion included. How many jobs came to an end.

        One that is postponed is due when the clock has come to its ``postponeuntil``, a paused one once it is resumed.

        Raises InvalidOperation inside a transaction: jobs run after it.
        """
        with self._engine.turn:
            self._engine.refuse_in_transaction()
        self._engine.resume_jobs()
        ended = 0
        while (job := self._next_job()) is not None:
            ended += run_job(self._engine, job)
        return ended

    def _next_job(self) -> Job | None:
        job = self._engine.jobs.take()
        if job is None:
            release_due(self._engine)
            job = self._engine.jobs.take()
        return job

    def start_worker(self) -> None:
        """Run asynchronous steps as they come, in a thread of their own."""
        self._engine.resume_jobs()
        if self._worker is None:
            run, release = partial(run_job, self._engine), partial(release_due, self._engine)
            self._worker = JobWorker(self._engine.jobs, run, release)

    def stop_worker(self) -> None:
        """Let the worker finish the job at hand and go. What waits then waits for :meth:`run_jobs`."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    # --- the whole -----------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything as it is now. The emulator may go on; the snapshot does not change.

        Raises InvalidOperation inside a transaction, as :meth:`restore` does.
        """
        with self._engine.turn:
            self._engine.refuse_in_transaction()
            self._engine.write_traces()
            return Snapshot(self._engine.store.snapshot(), tuple(self._engine.jobs))

    def restore(self, snapshot: Snapshot) -> None:
        """Be as when the snapshot was taken, with the steps registered now."""
        with self._engine.turn, self._engine.no_readers:
            self._engine.refuse_in_transaction()
            self._engine.trace_log.take()
            self._engine.store.restore(snapshot.rows)
            self._engine.customizations.reload()
            self._engine.steps.reconcile()
            self._engine.jobs.replace(snapshot.jobs)
            self._engine.executions.clear()

    def close(self) -> None:
        """Stop the worker and close the database. A second call does nothing."""
        self.stop_worker()
        with self._engine.turn:
            self._engine.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
