"""Endpoints of the file as rows of serviceendpoint."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from azure_bridge.secrets import EnvironmentSecrets, Secrets
from dataverse_client.types import OptionSetValue
from runner.registrations.deploy.endpoints import DEFAULT_ENDPOINT, Site, endpoint_problems, endpoint_rows
from runner.registrations.deploy.rows import text
from runner.registrations.load import parse

SECRETS = Secrets({"env": EnvironmentSecrets({"KEY": 'a"<&>b'})})
STEP = "steps: [{ name: A, plugin: 'a:B', message: Create, entity: account, stage: 40 }]"
REMOTE = "https://contoso.crm.dynamics.com"


OWN_SITE = Site("https://runner.contoso.com/", "own-key")


def rows(text, site=OWN_SITE):
    return endpoint_rows(parse(text), site, SECRETS)


def numbers(row, *columns):
    return tuple(row.columns[column].value for column in columns)


def test_steps_without_an_endpoint_are_told_to_the_runner_itself():
    (row,) = rows(STEP).values()
    assert row.name == DEFAULT_ENDPOINT
    assert row.columns["url"] == "https://runner.contoso.com/dataverse/webhook"
    assert (numbers(row, "contract", "authtype", "messageformat"), row.secrets) == ((8, 4, 2), {"authvalue": "own-key"})


def test_where_every_step_names_its_endpoint_there_is_no_other():
    text = "endpoints: { hook: { type: webhook, auth: { type: webhook-key, value: '${env:KEY}' } } }\n"
    assert list(rows(text + STEP.replace("stage: 40", "stage: 40, endpoint: hook"))) == ["hook"]


@pytest.mark.parametrize(("kind", "number"), [("http-header", 5), ("http-query-string", 6)])
def test_named_values_travel_as_settings(kind, number):
    row = rows(
        f"endpoints: {{ hook: {{ type: webhook, auth: {{ type: {kind}, values: {{ X-Key: '${{env:KEY}}' }} }} }} }}"
    )["hook"]
    (setting,) = ElementTree.fromstring(row.secrets["authvalue"])  # noqa: S314  # our own
    assert numbers(row, "authtype") == (number,)
    assert setting.attrib == {"name": "X-Key", "value": 'a"<&>b'}


def test_every_choice_of_an_endpoint_is_told_in_words():
    bus = (
        "endpoints: { bus: { type: service-bus-queue, queue: events, namespace: contoso.servicebus.windows.net, "
        "shared_access_key_name: send, shared_access_key: '${env:KEY}' } }\n"
    )
    choices = {
        (column, text(column, value))
        for row in rows(bus + STEP).values()
        for column, value in row.columns.items()
        if isinstance(value, OptionSetValue)
    }
    assert [choice for choice in choices if choice[1].isdecimal()] == []


@pytest.mark.parametrize(("kind", "contract"), [("queue", 6), ("topic", 5)])
def test_service_bus_is_reached_with_a_shared_access_key(kind, contract):
    row = rows(
        f"endpoints: {{ bus: {{ type: service-bus-{kind}, {kind}: events, namespace: contoso.servicebus.windows.net, "
        "shared_access_key_name: send, shared_access_key: '${env:KEY}' } }"
    )["bus"]
    assert numbers(row, "contract", "authtype", "messageformat", "namespaceformat") == (contract, 2, 2, 2)
    assert (row.columns["path"], row.columns["saskeyname"]) == ("events", "send")
    assert row.columns["namespaceaddress"] == "sb://contoso.servicebus.windows.net/"


def test_the_note_of_a_secret_is_the_same_for_the_same_secret_only():
    notes = {key: rows(STEP, Site("https://x.example", key))[DEFAULT_ENDPOINT].columns["description"] for key in "ab"}
    assert notes["a"] == rows(STEP, Site("https://x.example", "a"))[DEFAULT_ENDPOINT].columns["description"]
    assert notes["a"] != notes["b"]


@pytest.mark.parametrize(
    ("site", "advice"),
    [
        (Site("http://127.0.0.1:8080", "key", REMOTE), "Set RUNNER_PUBLIC_URL"),
        (Site("https://runner.contoso.com", None, REMOTE), "Set DATAVERSE_WEBHOOK_KEY"),
    ],
)
def test_what_dataverse_cannot_reach_or_anybody_could_is_refused(site, advice):
    (problem,) = endpoint_problems(rows(STEP, site).values(), site)
    assert advice in problem


def test_endpoints_on_one_machine_need_no_https_and_no_key():
    site = Site("http://127.0.0.1:8080", None, "http://127.0.0.1:5555")
    assert list(endpoint_problems(rows(STEP, site).values(), site)) == []
