"""Takes requests to the pipeline, and does the work before and after their transaction."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from datetime import timedelta
from functools import partial
from typing import Any

from azure_bridge.clock import Clock
from dataverse_client.types import Entity, EntityReference, OrganizationRequest, OrganizationResponse
from runner.emulator.call import OPTIONAL_PARAMETERS, Bypass, Call
from runner.emulator.committed_reads import CommittedReads
from runner.emulator.custom_api import CustomApi
from runner.emulator.customizations import Customizations
from runner.emulator.errors import InvalidArgument, InvalidOperation, NotSupported, ObjectDoesNotExist, SqlTimeout
from runner.emulator.jobs.job import Job
from runner.emulator.jobs.kept_jobs import data_of, unfinished_jobs
from runner.emulator.jobs.queue import JobQueue
from runner.emulator.messages.custom_apis import call_custom_api
from runner.emulator.messages.environment import Handler
from runner.emulator.messages.handlers import MESSAGES
from runner.emulator.messages.writes import is_plain
from runner.emulator.notifications.notification import Notification, NotifyingEnvironment, SenderFactory
from runner.emulator.pipeline.operation import NO_ENTITY
from runner.emulator.pipeline.pipeline import Pipeline
from runner.emulator.pipeline.step_table import StepTable
from runner.emulator.registration.custom_apis import CustomApis
from runner.emulator.registration.registered_steps import RegisteredSteps
from runner.emulator.rows.associations import Associations
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.records import Records
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.storage.sequential_guids import sequential_guids
from runner.emulator.storage.store import CommittedStore, Store
from runner.emulator.trace_log import MOST_WAITING, TraceLog
from runner.emulator.transaction import Transaction
from runner.emulator.users import Users, impersonated
from runner.execution.execution import Execution
from runner.execution.failures import NOT_FOR_PLUGINS
from runner.execution.host import StepHost
from runner.execution.services import Services
from runner.execution.step import StepError
from runner.plugin import Organization, PluginContext
from runner.tracing.model import Compensated, TraceSink

#: How many executions are kept for :attr:`Emulator.executions`.
EXECUTIONS_KEPT = 2000
_NEVER_READ_TRACES = frozenset({"Create", "Update"})

_log = logging.getLogger(__name__)


class Engine:
    """The parts of one environment, behind the public interface :class:`~runner.emulator.emulator.Emulator`.

    One request is served at a time, by the thread that holds ``turn``. Other requests wait for it, for ``lock_timeout``
    at most, except those that only read, if the rows are in a file.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        services: Services,
        organization: Organization,
        sink: TraceSink | None,
        senders: SenderFactory | None,
        lock_timeout: timedelta,
        back_off: timedelta,
    ) -> None:
        self.store = store
        self.clock = clock
        self.services = services
        self.organization = organization
        self.sink = sink
        self.turn = threading.RLock()
        self.ids = sequential_guids()
        self.records = Records(store, clock)
        self.associations = Associations(store, self.records)
        self.host = f"{organization.organization_name}.dataverse.local"
        self.steps = RegisteredSteps(store, self.records, NotifyingEnvironment(self.host, self._format, senders))
        self.customizations = Customizations(store, self._use_metadata)
        self.steps.follow_metadata()
        self.steps.reconcile()
        self.users = Users(store, self.records)
        self.messages: dict[str, tuple[str, Handler]] = dict(MESSAGES)
        self.custom_apis = CustomApis(store)
        self.custom_apis.refresh()
        self.pipe = Pipeline(self, self.steps, sink).run
        self.jobs = JobQueue()
        self.back_off = back_off
        self.trace_log = TraceLog(store, self.records)
        #: The executions, with their hosts: see Execution.
        self.executions: deque[tuple[PluginContext, StepHost]] = deque(maxlen=EXECUTIONS_KEPT)
        self._open: Transaction | None = None
        self._resumed = not store.is_durable
        self._closed = False
        self._lock_timeout = lock_timeout.total_seconds()
        self._committed = None if store.is_private else self._beside(CommittedStore(store))
        #: ``with engine.no_readers:`` keeps out threads that read without the turn.
        self.no_readers: AbstractContextManager[object] = self._committed.lock if self._committed else nullcontext()

    def _beside(self, store: CommittedStore) -> CommittedReads:
        """Reads of that store, in an environment that is otherwise the same."""
        twin = copy(self)
        twin.store = store
        twin.records = Records(store, self.clock)
        twin.users = Users(store, twin.records)
        twin.pipe = Pipeline(twin, StepTable(), self.sink).run
        return CommittedReads(store, twin)

    # --- requests ------------------------------------------------------------------------------------------

    def receive(
        self,
        user_id: str,
        message: str,
        parameters: Mapping[str, Any],
        *,
        tag: str | None = None,
        bypass: Bypass | None = None,
        authenticated_user_id: str | None = None,
        user_agent: str = "",
    ) -> Mapping[str, Any]:
        """Execute a request from outside. Returns its results.

        Raises:
          OrganizationServiceFault: it is refused; what it had changed is rolled back.
        """
        if not self.turn.acquire(False):
            if self._committed is not None:
                answer = self._committed.answer(user_id, message, parameters)
                if answer is not None:
                    return answer
            self._wait_for_turn()
        try:
            if message not in _NEVER_READ_TRACES:
                self.trace_log.tend(self.clock.now())
            transaction = self._open or Transaction(self.store)
            caller = self.users.caller(user_id)
            if authenticated_user_id is not None or user_agent:
                caller = impersonated(caller, self.users.caller(authenticated_user_id or user_id), user_agent)
            call = Call(self, caller, transaction, tag, bypass)
            return self._serve(call, message, parameters)
        except RecursionError:
            raise InvalidArgument(
                f"{message} goes too deep, and nothing was changed: a value contains itself, or rows refer to one "
                "another over very many levels. Pass values that end, or take the rows level by level, lowest first."
            ) from None
        finally:
            self.turn.release()

    def _wait_for_turn(self) -> None:
        """Take the turn. Raises SqlTimeout."""
        if not self.turn.acquire(timeout=self._lock_timeout):
            raise SqlTimeout.after(self._lock_timeout)

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """Hold the turn during the block. Raises SqlTimeout."""
        self._wait_for_turn()
        try:
            yield
        finally:
            self.turn.release()

    @contextmanager
    def reading(self) -> Iterator[ReadableRecords]:
        """Read rows without a message: with the turn as they are now, otherwise as last committed.

        Raises:
          SqlTimeout: other requests took too long, and the rows are in memory.
        """
        if not self.turn.acquire(False):
            if self._committed is not None:
                with self._committed.rows() as rows:
                    yield rows
                return
            self._wait_for_turn()
        try:
            self.trace_log.write()
            yield self.records
        finally:
            self.turn.release()

    def execute_within(
        self,
        call: Call,
        context: PluginContext,
        user_id: str | None,
        message: str,
        parameters: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Execute the request of a plug-in within ``call``, in its transaction if there is one."""
        with nullcontext() if call.holds_turn else self.turn:
            transaction = call.transaction if call.transaction.level else Transaction(self.store)
            caller = self.users.caller(user_id or SYSTEM_USER_ID)
            inner = Call(self, caller, transaction, depth=context.depth + 1, parent=context)
            return self._serve(inner, message, parameters)

    def perform_separately(self, call: Call, request: OrganizationRequest) -> OrganizationResponse:
        """Execute one of several requests, in its own transaction unless the call is in one already."""
        if not call.transaction.level:
            call = call.within(Transaction(self.store))
        return OrganizationResponse(request.message_name, self._serve(call, request.message_name, request.parameters))

    def perform(self, call: Call, message: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Execute a message as part of the call.

        Raises:
          NotSupported: there is no such message.
        """
        known = self.messages.get(message.lower())
        handler = known[1] if known else self._declared(message)
        if not OPTIONAL_PARAMETERS.isdisjoint(parameters):
            call = call.with_options(parameters)
        return handler(self, call, {**parameters})

    def _declared(self, message: str) -> Handler:
        api = self.custom_apis.find(message)
        if api is None:
            raise NotSupported(
                f"There is no message {message!r}. Register a custom API of that name, or send another message."
            )
        return partial(call_custom_api, api)

    def register_api(self, api: CustomApi) -> None:
        if api.name.lower() in MESSAGES:
            raise StepError(f"Custom API {api.name!r}: the platform has a message of that name. Choose another.")
        self.custom_apis.add(api)
        self.messages[api.name.lower()] = (api.name, partial(call_custom_api, api))
        self.steps.message(api.name, api.entity)
        step = api.step()
        if step is not None:
            self.steps.add_internal(step)

    def _format(self, target: Entity) -> None:
        with self.turn:
            self.records.format(target)

    def _use_metadata(self) -> None:
        self.records.forget_tables()
        self.steps.follow_metadata()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Requests received inside share one transaction."""
        with self._own_turn():
            if self._open is not None:
                raise InvalidOperation("A transaction is already open, and transactions cannot be nested.")
            self.trace_log.write()
            transaction = self._open = Transaction(self.store)
            try:
                with transaction:
                    yield
            except BaseException:
                self.undo(transaction)
                raise
            finally:
                self._open = None
            self._settle(transaction)

    def refuse_in_transaction(self) -> None:
        """Raises InvalidOperation inside a transaction, for jobs and snapshots."""
        if self.store.in_transaction:
            raise InvalidOperation(
                "Jobs cannot run, nor snapshots be taken or restored, inside a request or transaction."
            )

    @contextmanager
    def customizing(self) -> Iterator[Customizations]:
        """Change the metadata: all changes within the block, or none."""
        with self._own_turn(), self.no_readers:
            try:
                with self.transaction():
                    yield self.customizations
            except BaseException:
                self.customizations.reload()
                raise

    def _serve(self, call: Call, message: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Serve a call. Inside a transaction, it takes part in it from the start, and its failure rolls it back."""
        transaction = call.transaction
        if transaction.level:
            with transaction:
                return self.perform(call, message, parameters)
        try:
            results = self.perform(call, message, parameters)
        except BaseException:
            self.undo(transaction)
            raise
        self._settle(transaction)
        return results

    def follow_changes(self, table: str) -> None:
        """Index the table's row versions, unless another thread has the turn; then a later call will."""
        if self.turn.acquire(blocking=False):
            try:
                if not self.store.in_transaction:
                    self.store.index_versions(table)
            finally:
                self.turn.release()

    # --- after the transaction -----------------------------------------------------------------------------

    def _settle(self, transaction: Transaction) -> None:
        self.custom_apis.refresh()
        # Release the rollback actions, as executions keep a reference to their transaction.
        transaction.undo.clear()
        if transaction.jobs:
            self.jobs.put(transaction.jobs)
        if len(self.trace_log.waiting) >= MOST_WAITING:
            self.trace_log.write()

    def undo(self, transaction: Transaction) -> None:
        """Run the plug-ins' rollback actions, last first. If one fails, it is logged and the others run."""
        while transaction.undo:
            failure: str | None = None
            action = transaction.undo.pop()
            try:
                action()
            except (Exception, *NOT_FOR_PLUGINS) as error:
                failure = f"{type(error).__name__}: {error}"
                _log.warning("Undoing failed after a rollback: %s", failure, exc_info=True)
            if self.sink is not None:
                self.sink.record(Compensated(at=self.clock.now(), depth=1, error=failure))

    # --- what the pipeline needs (runner.emulator.pipeline.pipeline.PipelineEnvironment) ----------------------

    def snapshot(self, reference: EntityReference, columns: tuple[str, ...] | None) -> Entity | None:
        try:
            return self.records.image(reference, columns)
        except ObjectDoesNotExist:
            return None

    def created(self, target: Entity, columns: tuple[str, ...] | None) -> Entity | None:
        if is_plain(target):
            return self.records.image_of_new(target, columns)
        return self.snapshot(target.to_entity_reference(), columns)

    def primary_columns(self, entity: str) -> tuple[str, ...]:
        if entity == NO_ENTITY:
            return ()
        table = self.store.metadata.tables[entity]
        return tuple(name for name in (table.primary_id_attribute, table.primary_name_attribute) if name)

    def queue(self, job: Job, call: Call) -> None:
        row = job.row()
        if self.store.is_durable:
            row["data"] = data_of(job)
        self._add_row(row)
        call.transaction.jobs.append(job)

    def resume_jobs(self) -> None:
        """Queue, once, the jobs that an earlier process left in the same file."""
        if not self._resumed:
            with self.turn:
                self._resumed = True
                self.jobs.replace([*unfinished_jobs(self.store, self.steps, self.jobs), *self.jobs])

    def _add_row(self, row: Entity) -> None:
        """Create a row of the platform's own, without steps."""
        self.records.add_defaults(row)
        self.records.create(row, SYSTEM_USER_ID)

    def ended(self, context: PluginContext, host: StepHost) -> None:
        self.executions.append((context, host))
        if self.trace_log.setting() and not isinstance(host.step.plugin, Notification):
            self.trace_log.add(Execution(context, host))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.trace_log.write()
            if self._committed is not None:
                self._committed.close()
            self.store.close()
