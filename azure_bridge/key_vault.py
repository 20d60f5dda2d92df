"""``${keyvault:NAME}``: secrets of an Azure Key Vault, cached, and rotated without refusing a valid request.

A new version is noticed within ``refresh_after``, or as soon as a request has an unknown value. The previous version
stays valid until ``overlap`` after the new one was created. The vault's own times count, so all processes agree, even
one that has just started. To end a version sooner, disable it in the vault.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.secret_sources import SecretSourceError

if TYPE_CHECKING:
    from azure.keyvault.secrets import KeyVaultSecret, SecretClient

#: How long a vault's secret is used before it is asked for again.
REFRESH_AFTER = timedelta(minutes=15)
#: How long the previous version counts beside a new one. Stripe, too, signs with both for up to a day.
OVERLAP = timedelta(hours=24)

#: The vault is asked at most this often, whatever values requests have: somebody may try one after another.
ASK_AGAIN_AFTER = timedelta(seconds=10)
#: Seconds to connect, and to wait for an answer.
_TIMEOUTS = (3, 10)
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}\Z")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Version:
    """A value, and when it stops being valid (None: as long as it is the current one)."""

    value: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """The versions the vault returned, the current one first, and when it was last asked."""

    versions: tuple[_Version, ...]
    asked_at: datetime


class KeyVaultSecrets:
    """The secrets of one vault. Threads may share it.

    Only the first read of a secret waits for the vault. Later reads return the cached versions, while a thread asks
    the vault again. While the vault does not answer, the cached versions stay in use.

    Args:
      refresh_after: the age at which a cached secret is read again.
      overlap: how long a version stays valid after the next one was created. Zero: not at all.

    Source: https://learn.microsoft.com/azure/key-vault/secrets/quick-create-python
    """

    def __init__(
        self,
        vault_url: str | None,
        *,
        clock: Clock | None = None,
        refresh_after: timedelta = REFRESH_AFTER,
        overlap: timedelta = OVERLAP,
        client: Callable[[str], SecretClient] | None = None,
    ) -> None:
        self._vault_url = vault_url
        self._clock = clock or SystemClock()
        self._refresh_after = refresh_after
        self._overlap = overlap
        self._make_client = client or _secret_client
        self._client: SecretClient | None = None
        self._known: dict[str, _Known] = {}
        self._asking = threading.Lock()
        self._renewing: set[str] = set()

    def get(self, name: str) -> str | None:
        """The current version; None when the vault has no such secret. Raises SecretSourceError."""
        return next(iter(self.accepted(name)), None)

    def accepted(self, name: str) -> Sequence[str]:
        """The current version, and the earlier ones that are still valid. Raises SecretSourceError."""
        known, now = self._look_up(name), self._clock.now()
        return [each.value for each in known.versions if each.until is None or now < each.until]

    def renew(self, name: str) -> None:
        """Ask the vault now, unless it was asked within ``ASK_AGAIN_AFTER``. Concurrent callers share one answer."""
        with self._asking:
            known = self._known.get(name)
            if known is None or self._clock.now() - known.asked_at >= ASK_AGAIN_AFTER:
                self._ask(name, known)

    def how_to_set(self, name: str) -> str:
        return f"Add it with: az keyvault secret set --vault-name <vault> --name {name} --value ..."

    def _look_up(self, name: str) -> _Known:
        known = self._known.get(name)
        # A missing secret is asked for every time, because somebody is about to add it.
        if known is None or not known.versions:
            with self._asking:
                return self._ask(name, None)
        if self._clock.now() - known.asked_at >= self._refresh_after and name not in self._renewing:
            self._renewing.add(name)
            threading.Thread(target=self._renew_quietly, args=(name,), name="key vault", daemon=True).start()
        return known

    def _renew_quietly(self, name: str) -> None:
        try:
            self.renew(name)
        except SecretSourceError as error:
            _log.warning("%s", error)
        finally:
            self._renewing.discard(name)

    def _ask(self, name: str, known: _Known | None) -> _Known:
        client = self._connect(name)
        from azure.core.exceptions import AzureError

        now = self._clock.now()
        try:
            fresh = _Known(tuple(_versions(client, name, self._overlap, now)), now)
        except AzureError as error:
            if known is None:
                raise SecretSourceError(
                    f"${{keyvault:{name}}}: {self._vault_url} did not give the secret ({type(error).__name__}). "
                    "Check KEY_VAULT_URL and that this identity has the role Key Vault Secrets User."
                ) from error
            _log.warning("%s did not say whether the secret %s was rotated: %s", self._vault_url, name, type(error))
            fresh = replace(known, asked_at=now)
        self._known[name] = fresh
        return fresh

    def _connect(self, name: str) -> SecretClient:
        if not self._vault_url:
            raise SecretSourceError(
                f"${{keyvault:{name}}} needs a key vault, and KEY_VAULT_URL is not set. "
                "Set it to the vault's address, such as https://contoso.vault.azure.net."
            )
        if not _NAME.match(name):
            raise SecretSourceError(
                f"${{keyvault:{name}}}: a Key Vault secret's name has letters, digits and hyphens only. "
                f"Did you mean ${{keyvault:{re.sub('[^0-9A-Za-z]+', '-', name)}}}?"
            )
        if self._client is None:
            self._client = self._make_client(self._vault_url)
        return self._client


def _versions(client: SecretClient, name: str, overlap: timedelta, now: datetime) -> Iterator[_Version]:
    """The current version, then the earlier ones that are still valid, latest first. Empty when there is no secret."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        current = client.get_secret(name)
    except ResourceNotFoundError:
        return
    yield _Version(_value(current))
    if not overlap:
        return
    versions = [(each.created_on, each) for each in client.list_properties_of_secret_versions(name) if each.created_on]
    # Times are whole seconds. Of two versions in one second, the current one counts as the newer.
    versions.sort(key=lambda made: (made[1].version == current.properties.version, made[0]), reverse=True)
    for (replaced_at, _), (_, older) in pairwise(versions):
        if older.enabled and now < replaced_at + overlap:
            yield _Version(_value(client.get_secret(name, older.version)), replaced_at + overlap)


def _value(secret: KeyVaultSecret) -> str:
    """Without the line end that a value from a file or a pipe easily has, and no secret of ours can."""
    return (secret.value or "").strip()


def _secret_client(vault_url: str) -> SecretClient:
    try:
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError as error:
        raise SecretSourceError(
            "${keyvault:...} needs Azure's libraries. Install them with: pip install 'dataverse-plugin-runner[azure]'"
        ) from error
    connect, read = _TIMEOUTS
    return SecretClient(
        vault_url=vault_url, credential=DefaultAzureCredential(), connection_timeout=connect, read_timeout=read
    )
