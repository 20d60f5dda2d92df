"""The app as the host indexes it, and the files beside it that the host reads."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tomllib
import typing
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import azure.functions as func
import pytest
from functions_host import Host

from azure_bridge.functions import not_ready, service_bus_connection
from azure_bridge.hosted_messages import HOLD, PATIENCE
from azure_bridge.processor import BATCH_SIZE
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.secrets import SecretSourceError
from azure_bridge.webhook import Reply
from runner.functions import parts_of
from runner.registrations.problems import UnreadableRegistrationsError
from runner.service.wiring import opened
from runner.settings import Settings, SettingsError
from runner.tracing.log_lines import LogLines
from runner.tracing.model import EventTraced
from runner.tracing.recorder import Recorder

ROOT = Path(__file__).parents[2]
#: App settings that only the host reads.
HOSTS_OWN = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "RECONCILE_SCHEDULE"}
SETTINGS = {each.name.upper() for each in fields(Settings)}


def read(name: str) -> dict:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture
def load_app(monkeypatch, tmp_path):
    """Imports function_app.py as the worker does, from whatever directory, with these app settings."""
    with ExitStack() as closing:

        def load(**environ):
            for name in SETTINGS - environ.keys():
                monkeypatch.delenv(name, raising=False)
            told = {"RUNNER_DATA_DIR": str(tmp_path), "DATAVERSE_URL": "http://127.0.0.1:5555", **environ}
            for name, value in told.items():
                monkeypatch.setenv(name, value)
            monkeypatch.chdir(tmp_path)
            spec = importlib.util.spec_from_file_location("function_app_under_test", ROOT / "function_app.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            closing.push(module.closing)
            return module

        yield load
        logging.getLogger("azure").setLevel(logging.NOTSET)


@pytest.fixture
def functions(load_app):
    """Name -> the function as it was written, and its bindings as the host is told of them."""
    return {
        each.get_function_name(): (each.get_user_function(), json.loads(each.get_function_json())["bindings"])
        for each in load_app().app.get_functions()
    }


HTTP_ANSWER = {"direction": "OUT", "type": "http", "name": "$return"}


def http(method: str, route: str) -> list[dict]:
    asked = {"type": "httpTrigger", "name": "request", "methods": [method], "authLevel": "ANONYMOUS", "route": route}
    return [{"direction": "IN", **asked}, HTTP_ANSWER]


def service_bus(queue: str) -> list[dict]:
    return [
        {
            "direction": "IN",
            "type": "serviceBusTrigger",
            "name": "message",
            "dataType": "BINARY",
            "connection": "SERVICEBUS",
            "queueName": queue,
            "cardinality": "ONE",
        }
    ]


def test_the_host_is_told_of_six_functions_and_what_triggers_them(functions) -> None:
    timer = {"type": "timerTrigger", "name": "timer", "schedule": "%RECONCILE_SCHEDULE%"}
    assert {name: bindings for name, (_, bindings) in functions.items()} == {
        "stripe_webhook": http("POST", "stripe/webhook"),
        "dataverse_webhook": http("POST", "dataverse/webhook"),
        "healthz": http("GET", "healthz"),
        "payment_events": service_bus("%PAYMENT_EVENTS_QUEUE%"),
        "dataverse_events": service_bus("%DATAVERSE_EVENTS_QUEUE%"),
        "reconcile": [{"direction": "IN", **timer, "runOnStartup": False, "useMonitor": True}],
    }


def test_every_function_has_the_parameters_its_bindings_fill_with_types_the_worker_can_read(functions) -> None:
    for function, bindings in functions.values():
        hints = typing.get_type_hints(function)
        assert hints.keys() - {"return"} == {each["name"] for each in bindings} - {"$return"}
        assert "return" in hints


def test_every_setting_a_trigger_names_is_in_the_sample(functions) -> None:
    bindings = json.dumps([bindings for _, bindings in functions.values()])
    named = set(re.findall(r"%(\w+)%", bindings))
    assert named == {"DATAVERSE_EVENTS_QUEUE", "PAYMENT_EVENTS_QUEUE", "RECONCILE_SCHEDULE"}
    assert named <= read("local.settings.sample.json")["Values"].keys()


def test_the_sample_sets_what_somebody_reads_and_nothing_that_contradicts_itself() -> None:
    values = read("local.settings.sample.json")["Values"]
    assert values.keys() <= SETTINGS | HOSTS_OWN
    settings = Settings.load(values)
    assert (settings.payment_events_queue, settings.dataverse_events_queue) == ("payment-events", "dataverse-events")


def test_triggers_and_code_find_service_bus_by_the_same_setting() -> None:
    by_string = {"SERVICEBUS_CONNECTION_STRING": "Endpoint=sb://contoso.servicebus.windows.net/"}
    assert by_string.keys() == {service_bus_connection(by_string)}
    assert Settings.load(by_string).servicebus_connection_string == by_string["SERVICEBUS_CONNECTION_STRING"]

    by_identity = {f"{service_bus_connection({})}__fullyQualifiedNamespace": "contoso.servicebus.windows.net"}
    assert Settings.load(by_identity).servicebus_namespace == "contoso.servicebus.windows.net"


def test_the_host_leaves_paths_alone_and_settles_by_how_functions_end() -> None:
    host = read("host.json")
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert host["extensions"]["http"]["routePrefix"] == ""
    bus = host["extensions"]["serviceBus"]
    assert (bus["autoCompleteMessages"], bus["prefetchCount"]) == (True, 0)
    assert bus["maxConcurrentCalls"] == BATCH_SIZE


def test_azure_installs_what_the_project_and_its_extra_depend_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if not line.startswith("#")}
    assert listed == {*project["dependencies"], *project["optional-dependencies"]["azure"]}


def test_a_persons_own_settings_are_neither_committed_nor_deployed() -> None:
    assert "local.settings.json" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "local.settings*.json" in (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()


def test_the_guide_tells_of_every_function_and_of_every_setting_of_the_sample(functions) -> None:
    guide = (ROOT / "docs" / "azure-functions.md").read_text(encoding="utf-8")
    assert [name for name in functions if f"`{name}`" not in guide] == []
    assert [name for name in read("local.settings.sample.json")["Values"] if f"`{name}`" not in guide] == []


@pytest.mark.parametrize(
    ("environ", "error", "said"),
    [
        ({"STRIPE_LIVE": "yes"}, SettingsError, "STRIPE_LIVE=yes needs a live key"),
        ({"DATAVERSE_URL": ""}, SettingsError, "DATAVERSE_URL is not set"),
        ({"RUNNER_REGISTRATIONS": "no-such-file.yaml"}, UnreadableRegistrationsError, "no-such-file.yaml"),
    ],
    ids=["contradiction", "no Dataverse", "no registrations"],
)
def test_a_wrong_setting_is_told_at_the_start_and_by_whoever_needs_it(load_app, caplog, environ, error, said) -> None:
    app = load_app(**environ)
    assert [said in message for message in caplog.messages] == [True]
    with pytest.raises(error, match=said):
        app.parts()
    assert len(app.app.get_functions()) == 6


def test_an_app_that_cannot_work_asks_senders_to_come_again_and_is_not_healthy(load_app, caplog) -> None:
    host = Host(load_app(DATAVERSE_URL="").app)
    answers = [
        host.post("stripe_webhook", "/stripe/webhook", b"{}"),
        host.post("dataverse_webhook", "/dataverse/webhook", b"{}"),
        host.call("healthz", func.HttpRequest("GET", "https://app.example/healthz", body=b"")),
    ]
    told = {(answer.status_code, answer.headers.get("Retry-After"), answer.get_body()) for answer in answers}
    assert told == {(503, "1", b"Not ready: see the log.")}
    assert ["DATAVERSE_URL is not set" in message for message in caplog.messages] == [True] * 4


def test_a_secret_in_an_error_is_masked_in_the_log(caplog) -> None:
    assert not_ready(SecretSourceError("the vault said whsec_abc123")) == Reply(503, "Not ready: see the log.")
    assert caplog.messages == ["Not ready: the vault said whsec_***"]


def test_an_app_that_cannot_work_does_not_compare_either(load_app) -> None:
    host = Host(load_app(DATAVERSE_URL="").app)
    with pytest.raises(SettingsError, match="DATAVERSE_URL is not set"):
        host.tick()


def test_a_message_is_held_for_less_time_than_the_host_lets_a_function_run_and_renews_its_lock() -> None:
    host = read("host.json")
    held = HOLD * (PATIENCE + 1)
    assert held < duration(host["functionTimeout"])
    assert held < duration(host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"])


def duration(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


INDEX = """
import json, sys
sys.path.insert(0, {root!r})
import function_app
functions = function_app.app.get_functions()
print(json.dumps({{each.get_function_name(): json.loads(each.get_function_json())["bindings"] for each in functions}}))
"""


@pytest.mark.parametrize("values", [{}, read("local.settings.sample.json")["Values"]], ids=["none", "the sample's"])
def test_a_fresh_process_indexes_the_app_from_anywhere_with_whatever_settings(values, tmp_path, functions) -> None:
    environ = {"PATH": os.environ["PATH"], **values}
    found = subprocess.run(
        [sys.executable, "-c", INDEX.format(root=str(ROOT))], cwd=tmp_path, env=environ, capture_output=True, check=True
    )
    bindings = json.loads(found.stdout)
    assert bindings.keys() == functions.keys()
    assert {name: each["type"] for name, [each, *_] in bindings.items()} == {
        name: each["type"] for name, (_, [each, *_]) in functions.items()
    }
    said = found.stderr.decode()
    assert said == "" if values else said.startswith("Not ready: DATAVERSE_URL is not set")


def test_a_key_vault_that_is_away_is_asked_again_by_whoever_needs_it(monkeypatch, tmp_path, caplog) -> None:
    answers = iter([SecretSourceError("the vault did not answer whsec_abc123"), None])

    def open_later(*arguments, **options):
        error = next(answers)
        if error:
            raise error
        return opened(*arguments, **options)

    monkeypatch.setattr("runner.functions.opened", open_later)
    registrations = ROOT / "registrations.yaml"
    settings = Settings(
        dataverse_url="http://127.0.0.1:5555", runner_data_dir=tmp_path, runner_registrations=registrations
    )
    with ExitStack() as closing:
        parts = parts_of(lambda: settings, closing, Recorder())
        assert caplog.messages == ["Not ready: the vault did not answer whsec_***"]
        assert parts().processor is not None
        assert parts() is parts()


def test_what_was_opened_is_closed_when_the_process_ends(load_app, monkeypatch) -> None:
    closed, close = [], EmbeddedQueue.close
    monkeypatch.setattr(EmbeddedQueue, "close", lambda queue: closed.append(queue.name) or close(queue))
    app = load_app()
    assert app.parts().processor is not None
    assert closed == []
    app.closing.close()
    assert sorted(closed) == ["dataverse-events", "payment-events"]


def test_the_trace_is_lines_of_json_in_the_log_without_secrets(caplog) -> None:
    told = EventTraced(
        at=datetime(2026, 11, 22, tzinfo=UTC),
        station="ignored",
        event_id="evt_1",
        event_type="invoice.paid",
        detail="sk_test_4eC39HqLyjWD",
    )
    with caplog.at_level(logging.INFO, "runner.trace"):
        LogLines().record(told)
    record = json.loads(caplog.messages[0])
    assert (record["kind"], record["event_id"], record["detail"]) == ("EventTraced", "evt_1", "sk_test_***")
