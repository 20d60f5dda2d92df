"""Carries out ``runner simulate``: sets up an environment, plays one story in it, reports it and checks the ending."""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click
import stripe

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.secrets import Secrets
from azure_bridge.tables import NO_BRIDGE, BridgeConfiguration
from dataverse_client.client import DataverseClient
from dataverse_client.types import new_guid
from runner.emulator.custom_api import custom_apis_from
from runner.emulator.metadata.described import metadata_for
from runner.emulator.metadata.model import Metadata, Table
from runner.execution.load import steps_from
from runner.execution.step import Stage, Step
from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext
from runner.registrations.load import load
from runner.registrations.model import Registrations
from runner.settings import Settings, environment
from runner.simulation.environment import EmbeddedEnvironment
from runner.simulation.outcomes import OUTCOMES
from runner.simulation.report import ConsoleReport, JsonReport, Report, ValueFormatter
from runner.simulation.row_input import SHORT_NAMES, LookupByName, build_row, find_column, split_assignment
from runner.simulation.story import Ending, Plot, Story
from runner.simulation.stripe_side import ApiSide, SimulatorSide, StripeSide
from runner.tracing.model import TraceSink
from runner.tracing.recorder import FanOut, Recorder

#: Column values of the simulated row, by short name, unless ``--set`` or ``--record`` gives others.
_DEFAULTS: Mapping[str, Any] = {"name": "Simulated", "amount": Decimal("49.90"), "currency": "USD"}
_CHANGED_AMOUNT = Decimal("59.90")
#: Names of tables, for registrations without an ``entities`` section of their own.
_ALIASES = {"payment": "new_payment", "sales_order": "salesorder"}
_CHECKOUT_PAGES = {"success_url": "https://example.com/thank-you", "cancel_url": "https://example.com/cancelled"}


class SimulationUsageError(Exception):
    """An option of the command line cannot be used. The message names it and says what to write."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of the command line."""

    entity: str = "payment"
    message: str = "Create"
    assignments: tuple[str, ...] = ()
    record: Path | None = None
    outcome: str = "succeeded"
    duplicate: bool = False
    shuffle: int | None = None
    rollback: bool = False
    stripe_side: str = "simulator"
    queue: str = "embedded"
    registrations: Path | None = None
    keep: Path | None = None


class LaterStepThrows(Plugin):
    """Refuses every operation. ``--rollback`` registers it as the last step."""

    def execute(self, context: PluginContext) -> None:
        context.trace("I run last, and I refuse.")
        raise InvalidPluginExecutionException("A later step refused the operation, on purpose.")


def run(request: Request, *, as_json: bool = False, color: bool | None = None) -> int:
    """Run a simulation. Returns the exit code: 0 when it ended as expected, else 1."""
    ending = Simulation(request, as_json=as_json, color=color).play()
    return 1 if ending.problems else 0


class Simulation:
    """One request: it sets up the environment, the plot and the report."""

    def __init__(self, request: Request, *, as_json: bool, color: bool | None) -> None:
        self._request = request
        self._clock: Clock = SystemClock()
        self._settings = Settings.load()
        self._secrets = Secrets.from_environment(environment())
        self._registrations = load(request.registrations or self._settings.runner_registrations)
        self._outcome = OUTCOMES[request.outcome]
        self._metadata = metadata_for(self._registrations)
        self._table = self._find_table()
        self._report = _report(self._metadata, as_json, color)

    def play(self) -> Ending:
        recorder = Recorder()
        sink = FanOut(recorder, self._report)
        side = self._stripe_side(sink)
        bridge = self._bridge()
        with ExitStack() as cleanup:
            world = EmbeddedEnvironment(
                self._steps(),
                bridge,
                directory=self._directory(cleanup),
                webhook_secret=side.webhook_secret,
                services={stripe.StripeClient: side.client},
                clock=self._clock,
                sink=sink,
                metadata=self._metadata,
                custom_apis=custom_apis_from(self._registrations, self._secrets),
                queue=self._queue(cleanup),
                keep_rows=self._request.keep is not None,
            )
            cleanup.callback(world.close)
            story = Story(self._plot(world.client, bridge), world, side, self._report, recorder)
            ending = story.play()
        self._report.end(self._title(ending), ending)
        return ending

    # --- the environment -----------------------------------------------------------------------------------

    def _find_table(self) -> Table:
        wanted = self._request.entity
        aliases = _ALIASES | self._registrations.entities
        table = self._metadata.tables.get(aliases.get(wanted, wanted))
        if table is None:
            near = " or ".join(difflib.get_close_matches(wanted, [*aliases, *self._metadata.tables], n=2))
            near = near or ", ".join(aliases)
            raise SimulationUsageError(f"--entity {wanted}: there is no such table. Did you mean {near}?")
        return table

    def _bridge(self) -> BridgeConfiguration:
        registrations = self._registrations
        return registrations.to_bridge_configuration(self._secrets) if registrations.bridge else NO_BRIDGE

    def _directory(self, cleanup: ExitStack) -> Path:
        if self._request.keep is None:
            return Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="runner-")))
        self._request.keep.mkdir(parents=True, exist_ok=True)
        return self._request.keep

    def _queue(self, cleanup: ExitStack) -> MessageQueue | None:
        """The queue at Service Bus; None for the embedded one. Raises QueueUnavailableError if it cannot be reached."""
        if self._request.queue == "embedded":
            return None
        settings = self._settings
        if not settings.is_at_service_bus:
            raise SimulationUsageError(
                "--queue servicebus: neither SERVICEBUS_CONNECTION_STRING nor SERVICEBUS_NAMESPACE is set. Set one, "
                "for an emulator with UseDevelopmentEmulator=true in the connection string."
            )
        queue = open_queue(
            settings.payment_events_queue,
            directory=Path(),
            connection_string=settings.servicebus_connection_string,
            namespace=settings.servicebus_namespace,
            clock=self._clock,
        )
        cleanup.callback(queue.close)
        if queue.peek(1):
            raise SimulationUsageError(
                f"--queue servicebus: {queue.name} holds messages, and a simulation would take them for its own. "
                "Name a queue that nobody else uses in PAYMENT_EVENTS_QUEUE."
            )
        return queue

    def _stripe_side(self, sink: TraceSink) -> StripeSide:
        wanted, settings = self._request.stripe_side, self._settings
        api_base = settings.stripe_api_base
        if wanted == "simulator":
            return SimulatorSide(self._clock, sink)
        if wanted.startswith(("http://", "https://")):
            api_base = wanted
        elif wanted != "test-mode":
            raise SimulationUsageError(f"--stripe {wanted}: write simulator, test-mode, or a server's http(s) address")
        key = settings.stripe_secret_key or ("sk_test_local" if api_base else "")
        return ApiSide(key, api_base, self._clock, sink)

    def _steps(self) -> list[Step]:
        registrations = self._registrations
        if self._outcome.collect == "checkout":
            registrations = _collecting_by_checkout(registrations)
        steps = steps_from(registrations, self._secrets)
        if self._request.rollback:
            steps.append(
                Step(
                    plugin=LaterStepThrows(),
                    message="Create",
                    entity=self._table.logical_name,
                    stage=Stage.POST_OPERATION,
                    rank=1_000_000,
                    name="A later step that throws",
                )
            )
        return steps

    # --- the plot ------------------------------------------------------------------------------------------

    def _plot(self, crm: DataverseClient, bridge: BridgeConfiguration) -> Plot:
        request = self._request
        typed = self._typed()
        updating = request.message == "Update"
        resolve = LookupByName(crm, self._metadata)
        values = self._defaults() if updating else self._defaults() | typed
        row = build_row(self._table, values, resolve)
        row.id = new_guid()
        change = build_row(self._table, typed or self._changed(), resolve) if updating else None
        return Plot(
            table=next((table for table in bridge.tables if table.logical_name == row.logical_name), None),
            row=row,
            change=change,
            delete=request.message == "Delete",
            rollback=request.rollback,
            outcome=self._outcome,
            duplicate=request.duplicate,
            shuffle=request.shuffle,
        )

    def _typed(self) -> dict[str, Any]:
        """The column values that were given, by logical name; ``--set`` takes precedence over ``--record``."""
        said = _read_record(self._request.record) if self._request.record else {}
        said |= dict(split_assignment(assignment) for assignment in self._request.assignments)
        return {find_column(self._table, name).logical_name: value for name, value in said.items()}

    def _defaults(self) -> dict[str, Any]:
        short = SHORT_NAMES.get(self._table.logical_name)
        if short is not None:
            return {short[name]: value for name, value in _DEFAULTS.items()}
        primary = self._table.primary_name_attribute
        return {primary: _DEFAULTS["name"]} if primary else {}

    def _changed(self) -> dict[str, Any]:
        amount = SHORT_NAMES.get(self._table.logical_name, {}).get("amount")
        if amount is None:
            raise SimulationUsageError("--message update: say what changes, with --set column=value")
        return {amount: _CHANGED_AMOUNT}

    def _title(self, ending: Ending) -> str:
        if self._request.rollback:
            gone = "Row and intent are both gone, as they" if ending.intent else "The row is gone, as it"
            return f"{gone} should be after a rollback."
        if self._request.message == "Delete":
            return "The row is gone, and its intent with it." if ending.intent else "The row is gone."
        if ending.status is None:
            ended = "" if self._registrations.bridge else " Without a bridge section, no payment follows."
            return f"{self._request.message} of {self._table.logical_name} went through.{ended}"
        return f"The row says {ending.status}, as it should after {self._request.outcome!r}."


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_bytes(), parse_float=Decimal)
    except OSError as error:
        raise SimulationUsageError(f"--record {file}: {error.strerror}") from error
    except ValueError as error:
        raise SimulationUsageError(f"--record {file} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise SimulationUsageError(f"--record {file}: an object of column: value is expected")
    return record


def _collecting_by_checkout(registrations: Registrations) -> Registrations:
    """The registrations, changed so that steps which collect money do it through a checkout page."""
    steps = [
        step.model_copy(update={"configuration": {**_CHECKOUT_PAGES, **step.configuration, "collect": "checkout"}})
        if isinstance(step.configuration, Mapping) and "collect" in step.configuration
        else step
        for step in registrations.steps
    ]
    return registrations.model_copy(update={"steps": tuple(steps)})


def _report(metadata: Metadata, as_json: bool, color: bool | None) -> Report:
    if as_json:
        return JsonReport(click.echo)
    return ConsoleReport(partial(click.echo, color=color), click.style, ValueFormatter(metadata))
