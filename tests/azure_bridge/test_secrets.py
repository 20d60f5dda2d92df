"""Secrets by reference."""

from __future__ import annotations

import pytest

from azure_bridge.redaction import redact
from azure_bridge.secrets import (
    EnvironmentSecrets,
    LiveSecrets,
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


@pytest.mark.parametrize("environment", [{}, {"KEY": "sk"}], ids=["unset", "set"])
def test_a_default_cannot_be_another_reference(environment: dict[str, str]) -> None:
    """Or it would end at the first brace, and the rest would become part of the secret."""
    with pytest.raises(SecretSourceError, match=r"\$\{env:KEY\} has another reference as its default"):
        from_environment(**environment).resolve("${env:KEY:-${keyvault:key}}")


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
    assert "hunter2" not in repr(reference)


def test_the_repr_of_live_secrets_does_not_show_them() -> None:
    assert "whsec_1" not in repr(LiveSecrets(("whsec_1",), from_environment()))


def test_a_vault_must_be_named() -> None:
    with pytest.raises(SecretSourceError, match="KEY_VAULT_URL is not set"):
        from_environment().resolve("${keyvault:stripe-key}")


def test_a_name_no_vault_can_have_is_corrected() -> None:
    with pytest.raises(SecretSourceError, match=r"Did you mean \$\{keyvault:stripe-key\}\?"):
        from_environment(KEY_VAULT_URL=VAULT).resolve("${keyvault:stripe_key}")


def test_variables_named_like_secrets_are_never_printed() -> None:
    from_environment(PARTNER_KEY="hunter-22", ORGANIZATION="contoso-9").resolve("${env:PARTNER_KEY}${env:ORGANIZATION}")
    assert redact("hunter-22 at contoso-9") == "*** at contoso-9"


def test_the_environment_is_read_when_asked() -> None:
    environ: dict[str, str] = {}
    source = EnvironmentSecrets(environ)
    assert source.get("LATE") is None
    environ["LATE"] = "here"
    assert source.get("LATE") == "here"


@pytest.mark.parametrize("text", ["${env:UNSET:-}", "${env:UNSET:-}${env:EMPTY:-}", ""])
def test_an_empty_value_is_no_secret(text: str) -> None:
    """Who shows nothing would show it."""
    with pytest.raises(SecretNotFoundError, match="anybody could show"):
        from_environment(EMPTY="").accepted(text)
