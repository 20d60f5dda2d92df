"""What Dataverse shows, and what does not pass for it."""

from __future__ import annotations

import pytest

from azure_bridge.secrets import SecretNotFoundError, Secrets
from runner.intake.credentials import Credential, Credentials

KEY = Credential.key("${env:HOOK_KEY}")
BOTH = Credential("header", {"x-user": "${env:HOOK_USER}", "x-key": "${env:HOOK_KEY}"})


def credentials(*all_of: Credential, **environ: str) -> Credentials:
    return Credentials(all_of, Secrets.from_environment(environ))


def test_the_key_is_shown_in_the_address() -> None:
    assert credentials(KEY, HOOK_KEY="right").admit({}, b"code=right")


@pytest.mark.parametrize("query", [b"", b"code=", b"code=wrong", b"code=right&code=wrong", b"key=right"])
def test_any_other_address_is_refused(query: bytes) -> None:
    assert not credentials(KEY, HOOK_KEY="right").admit({}, query)


@pytest.mark.parametrize("headers", [{}, {"x-user": "crm"}, {"x-key": "right"}, {"x-user": "crm", "x-key": "wrong"}])
def test_every_value_of_a_credential_has_to_be_shown(headers: dict[str, str]) -> None:
    admitting = credentials(BOTH, HOOK_USER="crm", HOOK_KEY="right")
    assert admitting.admit({"x-user": "crm", "x-key": "right"}, b"")
    assert not admitting.admit(headers, b"")


def test_a_key_that_turns_out_empty_lets_nobody_in() -> None:
    """A request without a key would show it."""
    with pytest.raises(SecretNotFoundError, match="anybody could show"):
        credentials(Credential.key("${env:HOOK_KEY:-}"))
