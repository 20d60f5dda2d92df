"""Secrets of a vault: remembered, and rotated without a gap."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("azure.keyvault.secrets")

from key_vault import URL, Vault, settled

from azure_bridge.clock import ManualClock
from azure_bridge.key_vault import ASK_AGAIN_AFTER, KeyVaultSecrets
from azure_bridge.redaction import redact
from azure_bridge.secrets import LiveSecrets, SecretNotFoundError, Secrets, SecretSourceError

MINUTES_15 = timedelta(minutes=15)


@pytest.fixture
def vault(clock: ManualClock) -> Vault:
    return Vault(clock)


@pytest.fixture
def secrets(vault: Vault, clock: ManualClock) -> KeyVaultSecrets:
    return a_process(vault, clock)


def a_process(vault: Vault, clock: ManualClock, **settings: Any) -> KeyVaultSecrets:
    return KeyVaultSecrets(URL, clock=clock, client=vault.client, **settings)


def test_a_vault_gives_its_secret(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.set("stripe-key", "sesame-1")
    assert Secrets({"keyvault": secrets}).resolve("${keyvault:stripe-key}") == "sesame-1"


def test_a_line_end_that_came_with_a_secret_is_no_part_of_it(vault: Vault, secrets: KeyVaultSecrets) -> None:
    """As of ``az keyvault secret set --file``."""
    vault.set("signing", "whsec_old\n")
    vault.set("signing", "whsec_new\r\n")
    assert secrets.accepted("signing") == ["whsec_new", "whsec_old"]


def test_what_a_vault_gave_is_never_printed(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.set("door", "sesame-2")
    Secrets({"keyvault": secrets}).resolve("${keyvault:door}")
    assert redact("opened with sesame-2") == "opened with ***"


def test_a_secret_is_asked_for_again_after_a_while_and_nobody_waits_for_that(
    vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets
) -> None:
    vault.set("key", "old")
    assert secrets.get("key") == "old"
    vault.set("key", "new")
    assert secrets.get("key") == "old"
    clock.advance(MINUTES_15)
    assert secrets.get("key") == "old"
    settled()
    assert secrets.get("key") == "new"


def test_the_version_before_counts_until_the_overlap_is_over(
    vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets
) -> None:
    vault.set("key", "old")
    clock.advance(timedelta(days=30))
    vault.set("key", "new")
    assert secrets.accepted("key") == ["new", "old"]
    clock.advance(timedelta(hours=23, minutes=59))
    assert secrets.accepted("key") == ["new", "old"]
    clock.advance(timedelta(minutes=1))
    assert secrets.accepted("key") == ["new"]


def test_all_processes_agree_on_what_counts(vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets) -> None:
    """Also one that saw the rotation, and one that started afterwards."""
    vault.set("key", "first")
    secrets.accepted("key")
    for value in ("second", "third"):
        clock.advance(timedelta(hours=1))
        vault.set("key", value)
    secrets.renew("key")
    assert secrets.accepted("key") == a_process(vault, clock).accepted("key") == ["third", "second", "first"]


def test_a_disabled_version_counts_no_more(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.set("key", "leaked").enabled = False
    vault.set("key", "new")
    assert secrets.accepted("key") == ["new"]


def test_without_an_overlap_the_current_version_counts_alone(vault: Vault, clock: ManualClock) -> None:
    vault.set("key", "old")
    vault.set("key", "new")
    assert a_process(vault, clock, overlap=timedelta(0)).accepted("key") == ["new"]


def test_renewing_asks_at_once_but_not_again_and_again(
    vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets
) -> None:
    vault.set("key", "old")
    live = LiveSecrets(("${keyvault:key}",), Secrets({"keyvault": secrets}))
    assert live() == ("old",)
    clock.advance(ASK_AGAIN_AFTER)
    vault.set("key", "new")
    live.renew()
    assert live() == ("new", "old")
    asked = vault.asked
    live.renew()
    assert vault.asked == asked


def test_all_who_renew_at_the_same_time_share_one_answer(
    vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets
) -> None:
    vault.set("key", "old")
    secrets.get("key")
    clock.advance(ASK_AGAIN_AFTER)
    vault.set("key", "new")
    seen: list[str | None] = []

    def renew() -> None:
        secrets.renew("key")
        seen.append(secrets.get("key"))

    threads = [threading.Thread(target=renew) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["new"] * 8


def test_a_vault_that_is_away_does_not_stop_what_already_runs(
    vault: Vault, clock: ManualClock, secrets: KeyVaultSecrets
) -> None:
    vault.set("key", "known")
    secrets.get("key")
    vault.refusal = 503
    clock.advance(timedelta(hours=1))
    assert secrets.get("key") == "known"
    settled()
    assert secrets.get("key") == "known"


def test_a_vault_that_is_away_at_the_start_is_named(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.refusal = 403
    with pytest.raises(SecretSourceError, match="has the role Key Vault Secrets User"):
        secrets.get("key")


def test_a_secret_the_vault_does_not_hold_is_named(secrets: KeyVaultSecrets) -> None:
    with pytest.raises(
        SecretNotFoundError, match=r"\$\{keyvault:key\} has no value\. Add it with: az keyvault secret set"
    ):
        Secrets({"keyvault": secrets}).resolve("${keyvault:key}")


def test_a_secret_that_is_added_later_is_found_at_once(vault: Vault, secrets: KeyVaultSecrets) -> None:
    assert secrets.get("key") is None
    vault.set("key", "added")
    assert secrets.get("key") == "added"
