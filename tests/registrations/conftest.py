"""An embedded Dataverse to deploy registrations into, over its Web API."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from azure_bridge.clock import ManualClock
from azure_bridge.secrets import EnvironmentSecrets, Secrets
from dataverse_client.client import DataverseClient
from dataverse_client.retry import RetrySettings
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.registrations.deploy.apply import apply_plan
from runner.registrations.deploy.endpoints import Site
from runner.registrations.deploy.plan import make_plan
from runner.registrations.identity import step_id
from runner.registrations.load import parse

FILE = """
endpoints:
  hook:
    type: webhook
    url: https://hooks.contoso.com/dataverse
    auth: { type: webhook-key, value: "${env:HOOK_KEY}" }
  bus:
    type: service-bus-queue
    namespace: contoso.servicebus.windows.net
    queue: dataverse-events
    shared_access_key_name: send
    shared_access_key: ${env:BUS_KEY}
steps:
  - { name: Greet, plugin: "a:B", message: Create, entity: account, stage: 20, endpoint: hook }
  - name: Watch
    plugin: a:C
    message: Update
    entity: account
    stage: 20
    rank: 3
    filtering_attributes: [name, telephone1]
    images: [{ type: pre, alias: before, attributes: [name] }]
    endpoint: bus
  - { name: Veto, plugin: "a:D", message: Delete, entity: contact, stage: 10, delivery: inline, endpoint: hook }
  - { name: Later, plugin: "a:E", message: Update, stage: 40, mode: async, enabled: false }
"""


@dataclass
class Deployment:
    """A file's way into an environment."""

    client: DataverseClient
    emulator: Emulator
    text: str = FILE
    key: str = "first-hook-key"

    def plan(self):
        secrets = Secrets({"env": EnvironmentSecrets({"HOOK_KEY": self.key, "BUS_KEY": "bus-key"})})
        return make_plan(parse(self.text), self.client, Site("https://runner.contoso.com", "own-key"), secrets)

    def apply(self, *, prune=False):
        plan = self.plan()
        apply_plan(self.client, plan if prune else plan.without_removals())

    def changed(self):
        """Every change of the plan: kind, name, and columns before and after."""
        return {
            (change.kind.value, change.row.name): {each.column: (each.before, each.after) for each in change.columns}
            for change in self.plan().changes
        }

    def step(self, name):
        return self.client.retrieve("sdkmessageprocessingstep", step_id(name))


@pytest.fixture
def embedded_client():
    """A client of an emulator."""

    def connect(emulator):
        return client_of(emulator, retry=RetrySettings(back_off=False))

    return connect


@pytest.fixture
def deployment(embedded_client):
    with Emulator(clock=ManualClock()) as emulator:
        yield Deployment(embedded_client(emulator), emulator)


@pytest.fixture
def deployed(deployment):
    deployment.apply()
    return deployment
