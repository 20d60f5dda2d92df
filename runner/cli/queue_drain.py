"""The payment processor for one run of ``runner queue drain``: the bridge's configuration, and CRM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from azure_bridge.processor import PaymentProcessor
from azure_bridge.tables import BridgeConfiguration
from runner.connection import connect
from runner.registrations.load import load
from runner.registrations.model import Registrations
from runner.service.wiring import opened
from runner.settings import Settings
from runner.tracing.recorder import Silence


@contextmanager
def payment_processor(settings: Settings, registrations: Path | None) -> Iterator[PaymentProcessor]:
    """A processor that writes to the Dataverse of the settings, or to the embedded one as ``runner serve`` does.

    Raises:
      RegistrationError, PluginLoadError, SecretError, SettingsError, ValueError: the configuration is incomplete or
        wrong.
      DatabaseInUseError, AccountFileError: another process has the embedded rows.
    """
    settings = replace(settings, runner_registrations=registrations or settings.runner_registrations)
    if settings.dataverse_url is not None:
        bridge = _bridge(settings, load(settings.runner_registrations))
        with connect(settings) as client:
            yield PaymentProcessor(client, bridge)
        return
    # No other process runs the embedded Dataverse, so its plug-ins have to run here too.
    with opened(settings, Silence()) as service:
        yield PaymentProcessor(service.resources.client, _bridge(settings, service.registrations))


def _bridge(settings: Settings, registrations: Registrations) -> BridgeConfiguration:
    return registrations.to_bridge_configuration(settings.secrets(), livemode=settings.stripe_live)
