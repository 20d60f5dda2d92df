"""The timeline a person reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from runner.tracing.console import ConsoleTimeline
from runner.tracing.model import (
    Compensated,
    EventTraced,
    OperationFinished,
    OperationStarted,
    StepFinished,
    StepStarted,
    StepTraced,
    StripeCalled,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEP: dict[str, Any] = {
    "at": AT,
    "step": "Create the intent",
    "plugin": "plugins.payment_intents:CreatePaymentIntent",
    "message": "Create",
    "entity": "new_payment",
    "stage": 20,
    "mode": 0,
    "rank": 1,
    "depth": 1,
    "correlation_id": "c",
}


def finished(**facts: Any) -> StepFinished:
    return StepFinished(**(STEP | {"outcome": "succeeded", "duration": 0.0042, "changes": {}} | facts))


def operation(*, depth: int = 1) -> OperationStarted:
    return OperationStarted(
        at=AT,
        message="Create",
        entity="new_payment",
        entity_id="1234",
        depth=depth,
        correlation_id="c",
        operation_id="o",
    )


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def timeline(lines: list[str]) -> ConsoleTimeline:
    return ConsoleTimeline(lines.append, lambda table, column, value: str(value), hidden={"new_stripeledger"})


def test_a_step_stands_under_its_operation_and_its_traces_under_the_step(
    timeline: ConsoleTimeline, lines: list[str]
) -> None:
    timeline.record(operation())
    timeline.record(StepStarted(**STEP))
    timeline.record(StepTraced(at=AT, step="Create the intent", depth=1, line="4990 minor units"))
    timeline.record(finished(changes={"new_stripepaymentintentid": (None, "pi_1")}))
    assert lines == [
        "  Create new_payment 1234",
        "    20 PreOperation, rank 1  Create the intent  plugins.payment_intents:CreatePaymentIntent",
        "      · 4990 minor units",
        "      Target.new_stripepaymentintentid: None → pi_1",
        "      ✓ 4.2 ms",
    ]


def test_nobody_who_reads_on_is_no_failure() -> None:
    """As behind ``head``: an error raised here would roll back the transaction that is told of."""
    written: list[str] = []

    def write(line: str) -> None:
        written.append(line)
        raise BrokenPipeError

    timeline = ConsoleTimeline(write, lambda table, column, value: str(value))
    timeline.record(operation())
    timeline.record(StepStarted(**STEP))
    assert written == ["  Create new_payment 1234"]


def test_a_nested_operation_is_indented_and_says_how_deep(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(operation())
    timeline.record(StepStarted(**STEP))
    timeline.record(operation(depth=2))
    assert lines[-1] == "      Create new_payment 1234  depth 2"


def test_a_refusal_is_said_with_the_plug_ins_words(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(operation())
    timeline.record(StepStarted(**STEP))
    timeline.record(finished(outcome="failed", error="The amount is too small."))
    timeline.record(
        OperationFinished(
            at=AT,
            message="Create",
            entity="new_payment",
            entity_id="1234",
            depth=1,
            outcome="failed",
            duration=0.01,
            error="The amount is too small.",
        )
    )
    assert lines[-2:] == [
        "      ✗ The amount is too small. 4.2 ms",
        "  ✗ Create rolled back: The amount is too small.  10.0 ms",
    ]


def test_an_undone_side_effect_is_told(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(Compensated(at=AT, depth=1))
    timeline.record(Compensated(at=AT, depth=1, error="Stripe is away"))
    assert "undone outside CRM" in lines[0]
    assert "undoing failed: Stripe is away" in lines[1]


def test_a_stripe_call_shows_status_object_and_request_id(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(
        StripeCalled(
            at=AT,
            method="POST",
            path="/v1/payment_intents",
            status=200,
            request_id="req_7",
            duration=0.001,
            subject="pi_1",
            replayed=True,
        )
    )
    assert lines == ["  → Stripe POST /v1/payment_intents 200  pi_1  req_7  replayed  1.0 ms"]


def read(timeline: ConsoleTimeline, *, outcome: str = "succeeded", meanwhile: StepTraced | None = None) -> None:
    facts: dict[str, Any] = {"at": AT, "message": "Retrieve", "entity": "account", "entity_id": "7", "depth": 1}
    timeline.record(OperationStarted(**facts, correlation_id="c", operation_id="o"))
    if meanwhile:
        timeline.record(meanwhile)
    timeline.record(OperationFinished(**facts, outcome=outcome, duration=0.001))


def test_a_read_that_sets_nothing_in_motion_is_not_told(timeline: ConsoleTimeline, lines: list[str]) -> None:
    read(timeline)
    assert lines == []


def test_a_read_is_told_once_something_happens_in_it(timeline: ConsoleTimeline, lines: list[str]) -> None:
    read(timeline, meanwhile=StepTraced(at=AT, step="s", depth=1, line="looked"))
    assert lines == ["  Retrieve account 7", "    · looked", "  ✓ Retrieve committed  1.0 ms"]


def test_a_read_that_fails_is_told(timeline: ConsoleTimeline, lines: list[str]) -> None:
    read(timeline, outcome="failed")
    assert lines[0] == "  Retrieve account 7"


def test_a_message_without_a_table_is_told_by_its_name_alone(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(replace(operation(depth=2), message="new_Quote", entity="none", entity_id=""))
    assert lines == ["  new_Quote  depth 2"]


def test_an_applied_event_lists_the_columns_but_not_the_ledger(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(
        EventTraced(
            at=AT,
            station="applied",
            event_id="evt_1",
            event_type="payment_intent.succeeded",
            table="new_payment",
            changes={"new_paymentstatus": "Completed", "new_stripeledger": "{...}"},
        )
    )
    assert lines == ["  applied   payment_intent.succeeded  evt_1", "    new_paymentstatus: Completed"]


def test_no_secret_reaches_the_screen(timeline: ConsoleTimeline, lines: list[str]) -> None:
    timeline.record(StepTraced(at=AT, step="s", depth=1, line="key sk_test_51Habcdefghijklmnop and whsec_abcdefgh"))
    assert "51Habcdefghijklmnop" not in lines[0]
    assert "abcdefgh" not in lines[0]
