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
from runner.emulator.engine import Engine
from runner.emulator.job_runner import is_over, release_due, run_job
from runner.emulator.jobs.job import Job
from runner.emulator.jobs.queue import JobWorker
from runner.emulator.metadata.load import load_metadata
from runner.emulator.metadata.model import Metadata
from runner.emulator.notifications.notification import SenderFactory
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.records import Records
from runner.emulator.seed import (
    ADMINISTRATOR_ID,
    ORGANIZATION_ID,
    ORGANIZATION_NAME,
    ROOT_BUSINESS_UNIT_ID,
    SYSTEM_USER_ID,
)
from runner.emulator.storage.database_lock import DatabaseLock
from runner.emulator.storage.store import Store
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

#: How long a request waits for another one's transaction: less than half of the time a webhook has to respond.
LOCK_TIMEOUT = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows and jobs of an emulator at one moment, for :meth:`Emulator.restore`."""

    rows: sqlite3.Connection
    jobs: tuple[Job, ...]


class Emulator:
    """An environment with one organization, in memory or in a file. Threads may share it.

    One request is processed at a time. Meanwhile requests that only read see what was last committed, if the rows are
    in a file; all others wait, and fail with SqlTimeout after ``lock_timeout``.

    ``steps`` are registered at once. ``database`` is the file; without one everything is in memory. ``durable=False``
    is for a file that need not survive a power cut. ``services`` are what plug-ins get from ``context.service``, by
    type: an object, or a function that makes one on first use. ``sink`` receives a record of everything that runs.
    ``service_bus_senders`` returns the sender for a Service Bus endpoint, such as a queue of your own. ``back_off`` is
    how long a job that asks to be retried waits at first, and twice as long each further time; Dataverse's own pauses
    are not documented.
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
        """Open the ``database``, upgraded if an earlier version wrote it.

        Raises:
          DatabaseInUseError: another emulator, in this or another process, uses it.
          DatabaseFormError: a later version wrote it, or it is no database, or its rows violate a key of the platform.
        """
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
        """The tables of the environment, as customized."""
        return self._engine.store.metadata

    @property
    def records(self) -> Records:
        """Writes rows without running steps (stage 30 alone), to prepare a test."""
        return self._engine.records

    def reading(self) -> AbstractContextManager[ReadableRecords]:
        """``with emulator.reading() as rows:`` reads rows without running steps, and without waiting for other threads.

        If the rows are in a file, those that another thread is changing are as last committed.
        """
        return self._engine.reading()

    def follow_changes(self, table: str) -> None:
        """Index the table's changes, so that they are found without reading every row."""
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
        user_agent: str = "",
    ) -> OrganizationResponse:
        """Carry out a message as the user (None: the administrator), including all steps it causes.

        ``authenticated_user_id`` is the user who calls on behalf of ``user_id``; rows record both. Plug-ins find
        ``tag`` in the shared variable of that name. ``bypass`` says which steps are not run. ``user_agent`` is
        the calling program's name, which they find as ``initiating_user_agent``.

        Raises:
          OrganizationServiceFault: the platform or a synchronous step refused the request, and everything it did was
            rolled back. The class and its ``code`` say why.
        """
        results = self._engine.receive(
            user_id or ADMINISTRATOR_ID,
            request.message_name,
            request.parameters,
            tag=tag,
            bypass=bypass,
            authenticated_user_id=authenticated_user_id,
            user_agent=user_agent,
        )
        return OrganizationResponse(request.message_name, results)

    def service(self, user_id: str | None = None) -> OrganizationService:
        """CRM as the user (None: the administrator), for calls from outside the pipeline."""
        return MessageService(partial(self._engine.receive, user_id or ADMINISTRATOR_ID))

    def transaction(self) -> AbstractContextManager[None]:
        """``with emulator.transaction():`` puts the requests inside into one transaction: all succeed, or none.

        As in a change set, their steps run inside it from stage 10 on. Other threads wait.
        """
        return self._engine.transaction()

    def customizing(self) -> AbstractContextManager[Customizations]:
        """``with emulator.customizing() as customizations:`` changes tables, columns, keys and relationships.

        The changes take effect at once and are kept in the database; after an error none of them is.
        """
        return self._engine.customizing()

    # --- steps ---------------------------------------------------------------------------------------------

    def register(self, step: Step) -> None:
        """Register a step. Raises StepError when its message, table or a column does not exist."""
        with self._engine.turn:
            self._engine.steps.add(step)

    def register_api(self, api: CustomApi) -> None:
        """Register a custom API with its plug-in.

        Raises StepError when the platform has a message of its name, or its table does not exist.
        """
        self._engine.register_api(api)

    @property
    def custom_apis(self) -> Mapping[str, CustomApi]:
        """The registered custom APIs, by name."""
        return self._engine.custom_apis.by_name

    def register_from(self, registrations: Registrations, secrets: Secrets | None = None) -> None:
        """Register the steps and custom APIs of a registrations file.

        ``secrets`` resolves its references; without it, references to environment variables are resolved.

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
        """The registered steps."""
        with self._engine.turn:
            return tuple(self._engine.steps)

    @property
    def is_prompt(self) -> bool:
        """Whether a request would be answered quickly: none is being processed, and no step is registered."""
        turn = self._engine.turn
        if not turn.acquire(blocking=False):
            return False
        try:
            return self._engine.steps.is_empty
        finally:
            turn.release()

    @property
    def executions(self) -> tuple[Execution, ...]:
        """The last two thousand executions of steps, in the order they ended."""
        return tuple(Execution(context, host) for context, host in tuple(self._engine.executions))

    # --- asynchronous steps --------------------------------------------------------------------------------

    @property
    def pending_jobs(self) -> tuple[Job, ...]:
        """The jobs that wait, in the order they will run: those an earlier process left first, paused ones last."""
        self._engine.resume_jobs()
        with self.reading() as rows:
            return tuple(job for job in self._engine.jobs if not is_over(rows, job))

    def run_jobs(self) -> int:
        """Run asynchronous steps, and those they cause, until none is due. Returns how many jobs ended.

        A postponed job is due when the clock has reached its ``postponeuntil``, a paused one once it is resumed.

        Raises InvalidOperation inside a transaction, because jobs run after it.
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
        """Start a thread that runs asynchronous steps as they come."""
        self._engine.resume_jobs()
        if self._worker is None:
            self._worker = JobWorker(self._engine.jobs, partial(run_job, self._engine), self._tend)

    def _tend(self) -> None:
        """Release the jobs that are due, and write the trace rows that a killed process would lose."""
        release_due(self._engine)
        if self._engine.trace_log.waiting:
            with self._engine.turn:
                self._engine.trace_log.write()

    def stop_worker(self) -> None:
        """Let the worker finish its current job and end. Waiting jobs then need :meth:`run_jobs`."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    # --- the whole -----------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """A copy of all rows and jobs, which later requests do not change.

        Raises InvalidOperation inside a transaction, as :meth:`restore` does.
        """
        with self._engine.turn:
            self._engine.refuse_in_transaction()
            self._engine.trace_log.write()
            return Snapshot(self._engine.store.snapshot(), tuple(self._engine.jobs))

    def restore(self, snapshot: Snapshot) -> None:
        """Put back the rows and jobs of a snapshot. The registered steps stay."""
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
