"""One run of one step, wherever it runs."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from decimal import Decimal

import pytest

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, Money, OrganizationRequest
from runner.execution.deadline import Deadline, StepTimeoutError, TimeIsUp
from runner.execution.execution import run_step
from runner.execution.message_service import MessageService
from runner.execution.services import Services
from runner.execution.step import Step
from runner.plugin import Caller, InvalidPluginExecutionException, MessageOperation, Organization, Plugin
from runner.tracing.model import StepFinished, StepStarted, StepTraced

USER = "22222222-2222-2222-2222-222222222222"


class FakePlatform:
    """A place to run that remembers what it was asked."""

    depth = 1

    def __init__(self):
        self.clock = ManualClock()
        self.requests = []
        self.undo = []

    def organization_service(self, context, user_id):
        def perform(message, parameters):
            self.requests.append((user_id, OrganizationRequest(message, parameters)))
            return {"id": USER}

        return MessageService(perform)

    def service(self, kind):
        return Services({ManualClock: self.clock}).provide(kind)

    def on_rollback(self, action):
        self.undo.append(action)


class Sink(list):
    record = list.append


def run(work, sink=None, platform=None, **more):
    class Work(Plugin):
        execute = staticmethod(work)

    step = Step(plugin=Work(), message="Create", entity="account", stage=20, **more)
    operation = MessageOperation(
        organization=Organization(organization_id=USER, organization_name="embedded"),
        caller=Caller(initiating_user_id=USER),
        message_name="Create",
        primary_entity_name="account",
        input_parameters={"Target": Entity("account", None, {"name": "Contoso", "revenue": Money(Decimal(1))})},
    )
    facts = {
        "stage": 20,
        "mode": 0,
        "owning_extension": step.reference,
        "user_id": USER,
        "is_in_transaction": True,
        "shared_variables": {},
    }
    return run_step(step, operation, facts, platform or FakePlatform(), sink)


def test_what_a_plugin_raises_is_its_outcome():
    assert isinstance(run(lambda context: 1 / 0).error, ZeroDivisionError)


def test_a_keyboard_interrupt_stops_the_program():
    def interrupted(context):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)


async def _cancels_what_it_waits_for(context):
    waiting = asyncio.ensure_future(asyncio.sleep(60))
    waiting.cancel()
    await waiting


@pytest.mark.parametrize("execute", [lambda context: sys.exit(3), _cancels_what_it_waits_for])
def test_a_plugin_that_would_end_more_than_itself_has_failed(execute):
    """Neither is an Exception: it would pass whoever is to answer for the step, and end the thread that runs it."""
    assert "must not raise" in str(run(execute).error)


def test_traced_lines_are_kept_in_order():
    def trace(context):
        context.trace("first")
        context.trace("{} of {}", "second", 2)

    assert run(trace).lines == ["first", "second of 2"]


def test_the_service_acts_as_the_steps_user():
    platform = FakePlatform()
    run(lambda context: context.organization.create(Entity("contact")), platform=platform)
    assert platform.requests == [(USER, OrganizationRequest("Create", {"Target": Entity("contact")}))]


def test_what_the_host_does_not_provide_is_named():
    error = run(lambda context: context.service(Decimal)).error
    assert isinstance(error, LookupError)
    assert "No Decimal is provided here (services: ManualClock)" in str(error)


# --- async def ------------------------------------------------------------------------------------------------


def test_a_coroutine_is_run_to_its_end():
    async def work(context):
        await asyncio.sleep(0)
        context.trace("done")

    assert run(work).lines == ["done"]


def test_a_coroutine_is_run_from_inside_an_event_loop_too():
    async def work(context):
        await asyncio.sleep(0)
        context.organization.create(Entity("contact"))

    async def caller():
        return run(work)

    assert asyncio.run(caller()).error is None


def test_a_coroutine_that_does_not_end_is_ended():
    async def work(context):
        await asyncio.Event().wait()

    assert isinstance(run(work, timeout=0.01).error, StepTimeoutError)


def test_a_coroutine_that_never_lets_go_is_ended_too():
    async def work(context):
        while True:
            pass

    assert isinstance(run(work, timeout=0.01).error, StepTimeoutError)


def test_a_coroutine_that_will_not_be_canceled_is_left_behind():
    async def work(context):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    assert isinstance(run(work, timeout=0.01).error, StepTimeoutError)


def test_what_a_plain_function_answers_is_of_no_interest():
    assert run(lambda context: "done").error is None


def test_a_function_that_does_not_end_is_ended():
    def work(context):
        while True:
            pass

    assert isinstance(run(work, timeout=0.01).error, StepTimeoutError)


def test_an_interruption_that_comes_as_the_plug_in_ends_is_a_timeout_too(monkeypatch):
    leave = Deadline.__exit__

    def interrupted(host, *error):
        leave(host, *error)
        raise TimeIsUp

    monkeypatch.setattr(Deadline, "__exit__", interrupted)
    error = run(lambda context: None, timeout=60).error
    assert isinstance(error, StepTimeoutError)
    assert str(error) == "It did not end within 60 seconds."


# --- what a sink hears ----------------------------------------------------------------------------------------


def test_a_sink_hears_of_start_lines_and_end():
    sink = Sink()
    run(lambda context: context.trace("line"), sink)
    assert [type(record) for record in sink] == [StepStarted, StepTraced, StepFinished]
    assert sink[-1].outcome == "succeeded"


def test_a_sink_hears_what_changed_in_target():
    sink = Sink()

    def change(context):
        context.target["name"] = "Other"
        context.target["telephone1"] = None
        del context.target["revenue"]

    run(change, sink)
    assert sink[-1].changes == {
        "name": ("Contoso", "Other"),
        "telephone1": (None, None),
        "revenue": (Money(Decimal(1)), None),
    }


def test_a_sink_hears_why_a_step_failed_and_where():
    sink = Sink()
    run(lambda context: 1 / 0, sink)
    assert sink[-1].outcome == "failed"
    assert re.fullmatch(r"ZeroDivisionError: division by zero \(test_execution\.py:\d+\)", sink[-1].error)


def test_a_refusal_is_told_in_its_own_words():
    def refuse(context):
        raise InvalidPluginExecutionException("Too little.")

    sink = Sink()
    run(refuse, sink)
    assert sink[-1].error == "Too little."


@pytest.mark.parametrize("collection", ["input_parameters", "output_parameters"])
def test_a_plug_in_changes_the_parameters_and_cannot_replace_them(collection):
    def work(context):
        getattr(context, collection)["new_key"] = 1
        setattr(context, collection, {})

    execution = run(work)
    assert isinstance(execution.error, AttributeError)
    assert getattr(execution.context, collection)["new_key"] == 1
