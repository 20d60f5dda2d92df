"""The payment processor for one run of ``runner queue drain``: the bridge's configuration, and CRM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from azure_bridge.processor import PaymentProcessor
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from runner.connection import connect
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.webapi import WebApi
from runner.registrations.load import load
from runner.settings import Settings
from runner.simulation.environment import CRM_FILE, EMBEDDED_URL


@contextmanager
def payment_processor(settings: Settings, registrations: Path | None) -> Iterator[PaymentProcessor]:
    """A processor that writes to the Dataverse of the settings.

    Raises:
      RegistrationError, SecretError, SettingsError, ValueError: what it needs is missing or wrong.
    """
    configured = load(registrations or settings.runner_registrations)
    bridge = configured.to_bridge_configuration(settings.secrets(), livemode=settings.stripe_live)
    with _crm(settings) as client:
        yield PaymentProcessor(client, bridge)


@contextmanager
def _crm(settings: Settings) -> Iterator[DataverseClient]:
    """The environment the settings name, or the embedded Dataverse that keeps its rows in the data directory."""
    if settings.dataverse_url is not None:
        with connect(settings) as client:
            yield client
        return
    with (
        closing(Emulator(database=settings.runner_data_dir / CRM_FILE)) as emulator,
        DataverseClient(EMBEDDED_URL, tokens=NoAuthentication()) as client,
    ):
        client.mount(EMBEDDED_URL, EmbeddedAdapter(WebApi(emulator)))
        yield client
