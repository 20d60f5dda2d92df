"""What the environment says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from azure_bridge.redaction import redact
from runner.settings import Settings, SettingsError, environment

REAL = {
    "DATAVERSE_URL": "https://contoso.crm4.dynamics.com",
    "DATAVERSE_TENANT_ID": "t",
    "DATAVERSE_CLIENT_ID": "c",
    "DATAVERSE_CLIENT_SECRET": "s",
}


def refused(**environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        Settings.load(environ)
    return str(error.value)


def test_nothing_is_required_on_a_laptop() -> None:
    assert Settings.load({}) == Settings()


def test_every_setting_is_read_from_the_variable_of_its_name() -> None:
    texts = {
        "STRIPE_LIVE": "yes",
        "STRIPE_SECRET_KEY": "sk_live_settings1",
        "DATAVERSE_AUTH": "managed-identity",
        "SERVICEBUS_NAMESPACE": "",
        "RECONCILE_SINCE": "12h",
        "RECONCILE_FIX": "no",
        "KEY_VAULT_REFRESH": "30s",
        "KEY_VAULT_OVERLAP": "2d",
    }
    environ = {each.name.upper(): f"https://{each.name}.example" for each in fields(Settings)} | texts
    settings = Settings.load(environ)
    same = [each.name for each in fields(Settings) if getattr(settings, each.name) == each.default]
    assert same == ["servicebus_namespace"]


def test_the_namespace_may_have_the_name_that_azure_functions_gives_it() -> None:
    environ = {"SERVICEBUS__fullyQualifiedNamespace": "contoso.servicebus.windows.net"}
    assert Settings.load(environ).servicebus_namespace == "contoso.servicebus.windows.net"
    assert (
        Settings.load({**environ, "SERVICEBUS_NAMESPACE": "fabrikam.example"}).servicebus_namespace
        == "fabrikam.example"
    )


@pytest.mark.parametrize("text", ["2", "2 days", "-1d", "d", "1w"])
def test_an_age_without_number_and_unit_is_refused(text: str) -> None:
    assert "write an age such as 90m, 12h or 7d" in refused(RECONCILE_SINCE=text)


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.load({"STRIPE_SECRET_KEY": " ", "RUNNER_DATA_DIR": ""}) == Settings()


def test_several_keys_are_separated_by_commas() -> None:
    assert Settings.load({"DATAVERSE_WEBHOOK_KEY": "new-key, old-key,"}).dataverse_webhook_key == ("new-key", "old-key")


def test_dotenv_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PAYMENT_EVENTS_QUEUE=from-file\nDATAVERSE_EVENTS_QUEUE=from-file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAVERSE_EVENTS_QUEUE", "from-environment")
    settings = Settings.load()
    assert (settings.payment_events_queue, settings.dataverse_events_queue) == ("from-file", "from-environment")
    assert environment()["PAYMENT_EVENTS_QUEUE"] == "from-file"


POD = {"AZURE_CLIENT_ID": "pod", "AZURE_TENANT_ID": "contoso", "AZURE_FEDERATED_TOKEN_FILE": "token"}


def test_what_azure_says_of_its_identity_counts_where_nothing_else_is_said_of_dataverse() -> None:
    settings = Settings.load({**POD, "DATAVERSE_AUTH": "workload-identity", "DATAVERSE_CLIENT_ID": "other"})
    assert (settings.dataverse_tenant_id, settings.dataverse_client_id) == ("contoso", "other")


def test_the_machines_identity_is_not_that_of_an_app_registration() -> None:
    assert "DATAVERSE_CLIENT_ID is not set" in refused(**{**REAL, **POD, "DATAVERSE_CLIENT_ID": ""})


def test_a_workload_identity_needs_its_token_file() -> None:
    environ = {**POD, "DATAVERSE_URL": REAL["DATAVERSE_URL"], "DATAVERSE_AUTH": "workload-identity"}
    assert "AZURE_FEDERATED_TOKEN_FILE is not set" in refused(**{**environ, "AZURE_FEDERATED_TOKEN_FILE": ""})


@pytest.mark.parametrize(
    ("environ", "auth"),
    [
        (REAL, "client-secret"),
        ({**REAL, "DATAVERSE_CLIENT_SECRET": "", "DATAVERSE_CLIENT_CERTIFICATE": "app.pem"}, "certificate"),
        ({"DATAVERSE_URL": "http://127.0.0.1:5555"}, "none"),
        (
            {"DATAVERSE_URL": "https://contoso.crm.dynamics.com", "DATAVERSE_AUTH": "managed-identity"},
            "managed-identity",
        ),
    ],
)
def test_the_credentials_say_how_to_sign_in(environ: dict[str, str], auth: str) -> None:
    assert Settings.load(environ).dataverse_auth == auth


def test_a_live_key_needs_stripe_live() -> None:
    said = refused(STRIPE_SECRET_KEY="sk_live_settings2")
    assert "set STRIPE_LIVE=yes" in said
    assert "settings2" not in said


@pytest.mark.parametrize("key", ["", "sk_test_settings3"])
def test_stripe_live_needs_a_live_key(key: str) -> None:
    assert "STRIPE_LIVE=yes needs a live key" in refused(STRIPE_LIVE="yes", STRIPE_SECRET_KEY=key)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"STRIPE_LIVE": "maybe"}, "STRIPE_LIVE is 'maybe'; write yes or no."),
        ({"DATAVERSE_AUTH": "magic"}, "DATAVERSE_AUTH is 'magic'; use one of client-secret, "),
        (
            {**REAL, "DATAVERSE_TENANT_ID": ""},
            "DATAVERSE_TENANT_ID is not set, and DATAVERSE_AUTH=client-secret needs it.",
        ),
        ({"DATAVERSE_URL": REAL["DATAVERSE_URL"]}, "DATAVERSE_URL is a real environment (contoso.crm4.dynamics.com)"),
        ({"DATAVERSE_URL": "contoso"}, "DATAVERSE_URL is 'contoso'; an address such as"),
        (
            {"SERVICEBUS_NAMESPACE": "n", "SERVICEBUS_CONNECTION_STRING": "c"},
            "SERVICEBUS_CONNECTION_STRING and SERVICEBUS_NAMESPACE are both set. Keep one.",
        ),
        ({"SERVICEBUS_NAMESPACE": "contoso"}, "a host name such as contoso.servicebus.windows.net is needed."),
        ({"SERVICEBUS_NAMESPACE": "sb://contoso.servicebus.windows.net/"}, "SERVICEBUS_NAMESPACE is 'sb://contoso"),
        ({"SERVICEBUS_NAMESPACE": "contoso.servicebus.windows.net:443"}, "a host name such as"),
        (
            {"PAYMENT_EVENTS_QUEUE": "Dataverse-Events"},
            "each would set aside what is the other's. Give them two queues.",
        ),
    ],
)
def test_what_cannot_be_used_is_named(environ: dict[str, str], said: str) -> None:
    assert said in refused(**environ)


def test_everything_wrong_is_said_at_once() -> None:
    assert len(refused(STRIPE_LIVE="maybe", DATAVERSE_AUTH="magic", KEY_VAULT_URL="x").splitlines()) == 3


def test_secrets_are_never_printed() -> None:
    environ = {**REAL, "STRIPE_SECRET_KEY": "sk_test_settings4", "DATAVERSE_CLIENT_SECRET": "hunter-33"}
    assert "hunter-33" not in repr(Settings.load(environ))
    assert "settings4" not in repr(Settings.load(environ))
    assert redact("signed in with hunter-33") == "signed in with ***"
