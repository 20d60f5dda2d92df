"""The app as the host indexes it, and the files beside it that the host reads."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import tomllib
import typing
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from azure_bridge.functions import service_bus_connection
from azure_bridge.processor import BATCH_SIZE
from azure_bridge.secrets import SecretSourceError
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


def test_an_app_that_is_configured_wrongly_does_not_start_and_so_takes_no_message(load_app) -> None:
    with pytest.raises(SettingsError, match="STRIPE_LIVE=yes needs a live key"):
        load_app(STRIPE_LIVE="yes")
    with pytest.raises(SettingsError, match="DATAVERSE_URL is not set"):
        load_app(DATAVERSE_URL="")
    with pytest.raises(UnreadableRegistrationsError):
        load_app(RUNNER_REGISTRATIONS="no-such-file.yaml")


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
        parts = parts_of(settings, closing, Recorder())
        assert caplog.messages == ["Not ready yet: the vault did not answer whsec_***"]
        assert parts().processor is not None
        assert parts() is parts()


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
