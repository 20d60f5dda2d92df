"""Secrets by reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient

from azure_bridge.clock import ManualClock
from azure_bridge.redaction import redact
from azure_bridge.secrets import (
    EnvironmentSecrets,
    KeyVaultSecrets,
    SecretNotFoundError,
    SecretReference,
    Secrets,
    SecretSourceError,
    references,
)

VAULT = "https://contoso.vault.azure.net"


def from_environment(**environ: str) -> Secrets:
    return Secrets.from_environment(environ)


def test_a_reference_is_replaced_wherever_it_stands() -> None:
    secrets = from_environment(HOST="bus", COLOUR="red")
    value = {"address": "sb://${env:HOST}/${env:COLOUR}", "list": [1, "${env:HOST}", None], "plain": "$5 {{ x }}"}
    assert secrets.resolve(value) == {"address": "sb://bus/red", "list": [1, "bus", None], "plain": "$5 {{ x }}"}


def test_a_default_stands_in_for_what_is_unset_or_empty() -> None:
    assert from_environment(EMPTY="").resolve("${env:EMPTY:-a}${env:UNSET:-b}") == "ab"


def test_a_default_may_be_empty() -> None:
    assert from_environment().resolve("[${env:UNSET:-}]") == "[]"


def test_a_default_may_hold_a_colon() -> None:
    assert from_environment().resolve("${env:URL:-http://localhost:5555}") == "http://localhost:5555"


def test_what_is_unset_is_named_with_how_to_set_it() -> None:
    with pytest.raises(SecretNotFoundError) as refused:
        from_environment().resolve({"key": ["${env:STRIPE_SECRET_KEY}"]})
    assert str(refused.value) == (
        "${env:STRIPE_SECRET_KEY} has no value. "
        "Set the environment variable STRIPE_SECRET_KEY, or put STRIPE_SECRET_KEY=... into .env."
    )


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(
        SecretSourceError, match=r"\$\{vault:x\} names a source that does not exist here\. Known: \$\{env"
    ):
        from_environment().resolve("${vault:x}")


def test_the_text_of_a_reference_leaves_its_default_out() -> None:
    (reference,) = references("${keyvault:key:-hunter2}")
    assert reference == SecretReference("keyvault", "key", "hunter2")
    assert str(reference) == "${keyvault:key}"


def test_a_vault_must_be_named() -> None:
    with pytest.raises(SecretSourceError, match="KEY_VAULT_URL is not set"):
        from_environment().resolve("${keyvault:stripe-key}")


def test_a_name_no_vault_can_have_is_corrected() -> None:
    with pytest.raises(SecretSourceError, match=r"Did you mean \$\{keyvault:stripe-key\}\?"):
        from_environment(KEY_VAULT_URL=VAULT).resolve("${keyvault:stripe_key}")


class SignedIn:
    """A credential as azure-identity's would be on a machine that may read the vault."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("token", 4_102_444_800)


class Vault:
    """Azure Key Vault behind the real client: the only part that cannot be here is the network."""

    def __init__(self, network: responses.RequestsMock) -> None:
        self.clock = ManualClock()
        self._network = network
        self.secrets = KeyVaultSecrets(VAULT, clock=self.clock, client=self._client)

    def _client(self, url: str) -> SecretClient:
        return SecretClient(url, SignedIn(), verify_challenge_resource=False, retry_total=0)

    def answers(self, name: str, status: int, **body: Any) -> None:
        def reply(request: Any) -> tuple[int, dict[str, str], str]:
            if "Authorization" not in request.headers:
                challenge = f'Bearer authorization="https://login.microsoftonline.com/t", resource="{VAULT}"'
                return 401, {"WWW-Authenticate": challenge}, "{}"
            return status, {"Content-Type": "application/json"}, json.dumps(body)

        self._network.remove("GET", f"{VAULT}/secrets/{name}/")
        self._network.add_callback("GET", f"{VAULT}/secrets/{name}/", reply)

    def holds(self, name: str, value: str) -> None:
        self.answers(name, 200, value=value, id=f"{VAULT}/secrets/{name}/1")


@pytest.fixture
def vault() -> Iterator[Vault]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as network:
        yield Vault(network)


def test_a_vault_gives_its_secret(vault: Vault) -> None:
    vault.holds("stripe-key", "sesame-1")
    assert Secrets({"keyvault": vault.secrets}).resolve("${keyvault:stripe-key}") == "sesame-1"


def test_what_a_vault_gave_is_never_printed(vault: Vault) -> None:
    vault.holds("door", "sesame-2")
    Secrets({"keyvault": vault.secrets}).resolve("${keyvault:door}")
    assert redact("opened with sesame-2") == "opened with ***"


def test_a_rotated_secret_arrives_after_a_while(vault: Vault) -> None:
    vault.holds("key", "old")
    assert vault.secrets.get("key") == "old"
    vault.holds("key", "new")
    assert vault.secrets.get("key") == "old"
    vault.clock.advance(timedelta(minutes=15))
    assert vault.secrets.get("key") == "new"


def test_a_vault_that_is_away_does_not_stop_what_already_runs(vault: Vault) -> None:
    vault.holds("key", "known")
    vault.secrets.get("key")
    vault.answers("key", 503)
    vault.clock.advance(timedelta(hours=1))
    assert vault.secrets.get("key") == "known"


def test_a_vault_that_is_away_at_the_start_is_named(vault: Vault) -> None:
    vault.answers("key", 403, error={"code": "Forbidden", "message": "no"})
    with pytest.raises(SecretSourceError, match="has the role Key Vault Secrets User"):
        vault.secrets.get("key")


def test_a_secret_the_vault_does_not_hold_is_named(vault: Vault) -> None:
    vault.answers("key", 404, error={"code": "SecretNotFound", "message": "no"})
    with pytest.raises(
        SecretNotFoundError, match=r"\$\{keyvault:key\} has no value\. Add it with: az keyvault secret set"
    ):
        Secrets({"keyvault": vault.secrets}).resolve("${keyvault:key}")


def test_a_secret_that_is_added_later_is_found_at_once(vault: Vault) -> None:
    vault.answers("key", 404, error={"code": "SecretNotFound", "message": "no"})
    assert vault.secrets.get("key") is None
    vault.holds("key", "added")
    assert vault.secrets.get("key") == "added"


def test_variables_named_like_secrets_are_never_printed() -> None:
    from_environment(PARTNER_KEY="hunter-22", ORGANIZATION="contoso-9").resolve("${env:PARTNER_KEY}${env:ORGANIZATION}")
    assert redact("hunter-22 at contoso-9") == "*** at contoso-9"


def test_the_environment_is_read_when_asked() -> None:
    environ: dict[str, str] = {}
    source = EnvironmentSecrets(environ)
    assert source.get("LATE") is None
    environ["LATE"] = "here"
    assert source.get("LATE") == "here"
