"""Which Stripe the settings name, and which they must not."""

from __future__ import annotations

import pytest

from azure_bridge.clock import SystemClock
from azure_bridge.secrets import Secrets
from runner.service.stripe_access import stripe_access
from runner.settings import Settings, SettingsError
from runner.tracing.recorder import Recorder

EMULATOR = "http://127.0.0.1:5555"
CLOUDS = ["crm4.dynamics.com", "crm.microsoftdynamics.us", "crm.appsplatform.us", "crm.dynamics.cn"]


def access(**settings):
    return stripe_access(Settings(**settings), Secrets({}), SystemClock(), Recorder())


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rows_of_a_real_environment_are_not_given_the_simulators_intents(cloud) -> None:
    with pytest.raises(SettingsError, match="STRIPE_SECRET_KEY is not set, and https://contoso"):
        access(dataverse_url=f"https://contoso.{cloud}")


@pytest.mark.parametrize("url", [None, EMULATOR])
def test_where_no_row_is_real_the_simulator_will_do(url) -> None:
    assert access(dataverse_url=url).simulator is not None


@pytest.mark.parametrize("settings", [{"stripe_secret_key": "sk_test_x"}, {"stripe_api_base": "http://127.0.0.1:1"}])
def test_a_key_or_another_server_is_stripe_for_a_real_environment(settings) -> None:
    assert access(dataverse_url="https://contoso.crm.dynamics.com", **settings).simulator is None
