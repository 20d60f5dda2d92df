"""The plug-in trace log: one row per execution."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from serving_world import until
from small_plugins import Do

from dataverse_client.types import Entity, OptionSetValue, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import AttributeNotFound
from runner.emulator.plugin_faults import IsvAborted, IsvUnExpected
from runner.emulator.trace_log import MAX_BYTES, TraceSetting, newest_lines
from runner.emulator.webapi import WebApi
from runner.emulator.webapi.http import Request
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException

ACCOUNT = Entity("account", None, {"name": "Contoso"})


def refuse(context):
    context.trace("about to refuse {}", context.target["name"])
    raise InvalidPluginExecutionException("No.")


@pytest.fixture
def on_file(tmp_path):
    """An emulator on a file, with a step that traces one line."""
    step = Step(plugin=Do(lambda context: context.trace("about to pass")), message="Create", entity="account", stage=20)
    return Emulator([step], database=tmp_path / "crm.db")


@pytest.fixture
def log(service):
    return lambda: list(service.retrieve_multiple(QueryExpression.of("plugintracelog")))


@pytest.mark.behaviour(
    "Trace log", "Each execution leaves a plugintracelog row; one call of Trace is one line", "logging-tracing"
)
def test_an_execution_leaves_a_row(service, on, log):
    @on("Create", 20)
    def trace(context):
        context.trace("first")
        context.trace("second {}", 2)

    service.create(ACCOUNT)
    (row,) = log()
    assert row["messageblock"] == "first\nsecond 2"
    assert (row["messagename"], row["primaryentity"], row["depth"]) == ("Create", "account", 1)
    assert row["typename"].endswith(":Do")
    assert "exceptiondetails" not in row


@pytest.mark.behaviour(
    "Trace log", "Rows of the trace log survive the rollback and hold the exception", "logging-tracing"
)
def test_the_row_survives_the_rollback_and_shows_the_plugins_own_frames(service, on, log):
    on("Create", 20)(refuse)
    with pytest.raises(IsvAborted):
        service.create(ACCOUNT)
    (row,) = log()
    assert row["messageblock"] == "about to refuse Contoso"
    assert "in refuse" in row["exceptiondetails"]
    assert "in _execute" not in row["exceptiondetails"]


@pytest.mark.behaviour(
    "Trace log", "PluginTraceLogSetting Off, Exception or All decides what leaves a row", "logging-tracing"
)
@pytest.mark.parametrize(
    ("setting", "rows"), [(TraceSetting.OFF, 0), (TraceSetting.EXCEPTION, 1), (TraceSetting.ALL, 2)]
)
def test_the_setting_decides_what_leaves_a_row(crm, service, on, log, setting, rows):
    on("Create", 20, rank=1)(lambda context: None)
    on("Create", 20, rank=2)(refuse)
    organization = Entity(
        "organization", crm.organization.organization_id, {"plugintracelogsetting": OptionSetValue(setting)}
    )
    service.update(organization)
    with pytest.raises(IsvAborted):
        service.create(ACCOUNT)
    assert len(log()) == rows


def test_a_secret_in_an_exception_is_masked(service, on, log):
    @on("Create", 20)
    def fail(context):
        raise ValueError(f"{'sk_' + 'test_'}abcdefghijklmnop is not known")

    with pytest.raises(IsvUnExpected):
        service.create(ACCOUNT)
    (row,) = log()
    assert "ValueError: sk_test_*** is not known" in row["exceptiondetails"]


def test_a_setting_that_is_cleared_is_off(crm, service, on, log):
    on("Create", 20)(lambda context: None)
    service.update(Entity("organization", crm.organization.organization_id, {"plugintracelogsetting": None}))
    service.create(ACCOUNT)
    assert log() == []


def test_the_setting_given_to_the_emulator_is_the_organizations():
    with Emulator(trace_setting=TraceSetting.EXCEPTION) as crm:
        (organization,) = crm.service().retrieve_multiple(QueryExpression.of("organization"))
        assert organization["plugintracelogsetting"] == OptionSetValue(1)


@pytest.mark.behaviour("Trace log", "Rows of asynchronous executions have mode 1", "reference/entities/plugintracelog")
def test_asynchronous_executions_are_logged_as_such(crm, service, on, log):
    on("Create", 40, mode=1)(lambda context: None)
    service.create(ACCOUNT)
    crm.run_jobs()
    assert [row["mode"].value for row in log()] == [1]


@pytest.mark.behaviour("Trace log", "10 KB of trace are kept; the oldest lines are dropped first", "logging-tracing")
def test_of_a_long_trace_the_newest_lines_are_kept(service, on, log):
    lines = [f"{number:03} {'x' * 95}" for number in range(200)]

    @on("Create", 20)
    def tell(context):
        for line in lines:
            context.trace(line)

    service.create(ACCOUNT)
    kept = log()[0]["messageblock"].split("\n")
    assert kept == lines[-102:]


@pytest.mark.behaviour(
    "Trace log",
    "A row says when its execution began and how many milliseconds it took",
    "reference/entities/plugintracelog",
)
def test_a_row_says_when_and_how_long(service, on, log, clock):
    on("Create", 20)(lambda context: None)
    service.create(ACCOUNT)
    (row,) = log()
    assert row["performanceexecutionstarttime"] == clock.now()
    assert row["performanceexecutionduration"] >= 0


@pytest.mark.behaviour(
    "Trace log",
    "A row tells the step, the request and the correlation it belongs to",
    "reference/entities/plugintracelog",
)
def test_a_row_says_what_it_belongs_to(crm, service, on, log):
    on("Create", 20)(lambda context: None)
    service.create(ACCOUNT)
    (row,), (ran,) = log(), crm.executions
    assert (row["pluginstepid"], row["requestid"]) == (ran.step.id, ran.context.request_id)
    assert (row["correlationid"], row["operationtype"].value) == (ran.context.correlation_id, 1)


def test_ten_kilobytes_are_kept_and_the_oldest_lines_dropped():
    lines = [f"{number:03} {'x' * 95}" for number in range(200)]
    kept = newest_lines(lines).split("\n")
    assert kept == lines[-len(kept) :]
    assert MAX_BYTES - 100 < len("\n".join(kept)) <= MAX_BYTES


def test_the_end_of_a_line_longer_than_the_log_is_kept():
    assert newest_lines(["y" + "x" * MAX_BYTES]) == "x" * MAX_BYTES


def test_bytes_are_counted_not_characters():
    assert len(newest_lines(["€" * 5000]).encode()) <= MAX_BYTES


def test_a_template_that_does_not_fit_is_written_as_it_came(service, on, log):
    on("Create", 20)(lambda context: context.trace("{} of {", 1))
    service.create(ACCOUNT)
    assert log()[0]["messageblock"] == "{} of { (1,)"


class Unspeakable:
    def __repr__(self):
        raise OSError("there are no words")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (("{:>10}", None), "{:>10} (None,)"),
        (("seen: {}", Unspeakable()), "seen: {} <tuple>"),
        ((None,), "None"),
        ((ValueError("no text"),), "no text"),
        (("half a pair: \ud83d",), "half a pair: ?"),
        (("half a pair: {}", "\ud83d"), "half a pair: ?"),
    ],
)
def test_whatever_a_plugin_traces_fails_nobody(service, on, log, said, kept):
    on("Create", 20)(lambda context: context.trace(*said))
    service.create(ACCOUNT)
    assert log()[0]["messageblock"] == kept


def test_an_exception_is_shown_with_what_caused_it(service, on, log):
    @on("Create", 20)
    def look_up(context):
        try:
            context.shared_variables["nothing"]
        except KeyError as error:
            raise InvalidPluginExecutionException("No.") from error

    with pytest.raises(IsvAborted):
        service.create(ACCOUNT)
    details = log()[0]["exceptiondetails"]
    assert details.index("KeyError: 'nothing'") < details.index("direct cause") < details.index("Exception: No.")


def test_what_becomes_of_an_exception_later_is_not_its_plugins(service, on, log):
    @on("Create", 20)
    def create_what_is_refused(context):
        context.organization.create(Entity("contact", attributes={"nothing": 1}))

    with pytest.raises(AttributeNotFound):
        service.create(ACCOUNT)
    details = log()[0]["exceptiondetails"].splitlines()
    assert "in create_what_is_refused" in "".join(details[1:5])


def test_an_asynchronous_plugin_is_shown_without_its_event_loop(service, on, log):
    @on("Create", 20)
    async def refuse_later(context):
        raise InvalidPluginExecutionException("No.")

    with pytest.raises(IsvAborted):
        service.create(ACCOUNT)
    assert "in refuse_later" in log()[0]["exceptiondetails"]
    assert "asyncio" not in log()[0]["exceptiondetails"]


@pytest.mark.parametrize(("mode", "told"), [(0, "plugintracelog"), (1, "asyncoperation")])
def test_a_refusal_of_half_a_character_can_be_told(crm, service, on, mode, told):
    @on("Create", 40, mode=mode)
    def refuse_oddly(context):
        raise InvalidPluginExecutionException("Not \ud83d.")

    answer = WebApi(crm).handle(Request("POST", "/api/data/v9.2/accounts", {}, b'{"name": "Contoso"}'))
    crm.run_jobs()
    assert answer.status == (204 if mode else 400)
    (row,) = service.retrieve_multiple(QueryExpression.of(told))
    assert "Not ?." in row["message" if mode else "exceptiondetails"]


def test_secrets_are_masked(service, on, log):
    key = "sk_test_" + "4eC39HqLyjWDarjtT1zdp7dc"
    on("Create", 20)(lambda context: context.trace("the key is {}", key))
    service.create(ACCOUNT)
    assert key not in log()[0]["messageblock"]


@pytest.mark.behaviour("Trace log", "Rows are deleted after 24 hours", "logging-tracing")
def test_rows_of_yesterday_are_gone(service, on, log, clock):
    on("Create", 20)(lambda context: context.trace("seen"))
    service.create(ACCOUNT)
    clock.advance(timedelta(hours=23))
    service.create(ACCOUNT)
    assert len(log()) == 2
    clock.advance(timedelta(hours=2))
    assert len(log()) == 1


def test_a_worker_writes_the_rows_that_nobody_has_read(on_file, tmp_path):
    """Given a served file, when nobody asks for the trace of a step, then a killed process does not lose it."""
    with on_file as crm, closing(sqlite3.connect(tmp_path / "crm.db")) as beside:
        crm.start_worker()
        crm.service().create(ACCOUNT)
        until(lambda: beside.execute("SELECT messageblock FROM plugintracelog").fetchall() == [("about to pass",)])
