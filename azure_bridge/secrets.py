"""Secrets by reference: ``${env:NAME}``, ``${keyvault:NAME}``, each with an optional ``:-default``.

    secrets = Secrets.from_environment(os.environ)
    secrets.resolve({"key": "${env:STRIPE_SECRET_KEY}"})

    SecretError
      SecretNotFoundError     the source has no such name: set it
      SecretSourceError       the source cannot be used: configure it, or try again

What a vault gives, and variables named like secrets, are remembered by :mod:`azure_bridge.redaction` and
never printed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.redaction import redact, register_secret

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

__all__ = [
    "EnvironmentSecrets",
    "KeyVaultSecrets",
    "SecretError",
    "SecretNotFoundError",
    "SecretReference",
    "SecretSource",
    "SecretSourceError",
    "Secrets",
    "redact",
    "references",
    "register_secret",
]

_REFERENCE = re.compile(r"\$\{(?P<source>\w+):(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
#: Not every environment variable is a secret: masking an organization's id would make traces unreadable.
_SECRET_VARIABLE = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|CONNECTION_STRING|SAS", re.IGNORECASE)
_KEY_VAULT_NAME = re.compile(r"[0-9A-Za-z-]{1,127}\Z")


class SecretError(Exception):
    """A reference cannot be resolved."""

    exit_code = 2


class SecretNotFoundError(SecretError):
    """The source is there, the name is not."""


class SecretSourceError(SecretError):
    """The source does not exist, is not configured, or did not answer."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """One ``${source:name:-default}``. Its text leaves the default out: people put secrets there."""

    source: str
    name: str
    default: str | None = None

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"


def references(text: str) -> tuple[SecretReference, ...]:
    """The references in a text, in order.

    >>> references("Bearer ${env:TOKEN}")
    (SecretReference(source='env', name='TOKEN', default=None),)
    """
    return tuple(_reference(match) for match in _REFERENCE.finditer(text))


def _reference(match: re.Match[str]) -> SecretReference:
    return SecretReference(match["source"], match["name"], match["default"])


class SecretSource(Protocol):
    """Where one kind of reference is looked up."""

    def get(self, name: str) -> str | None:
        """The value, or None when there is none. Raises SecretSourceError when the source cannot say."""

    def how_to_set(self, name: str) -> str:
        """What a person does to give ``name`` a value: the end of an error message."""


class EnvironmentSecrets:
    """``${env:NAME}``: environment variables. An empty variable counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def how_to_set(self, name: str) -> str:
        return f"Set the environment variable {name}, or put {name}=... into .env."


@dataclass(frozen=True, slots=True)
class _Fetched:
    value: str
    at: datetime


class KeyVaultSecrets:
    """``${keyvault:NAME}``: the current version of a secret in Azure Key Vault.

    A value is kept for ``refresh_after`` and then asked for again, so that a rotated secret arrives without a
    restart. When the vault does not answer, the value already known goes on being used.

    Source: https://learn.microsoft.com/azure/key-vault/secrets/quick-create-python
    """

    def __init__(
        self,
        vault_url: str | None,
        *,
        clock: Clock | None = None,
        refresh_after: timedelta = timedelta(minutes=15),
        client: Callable[[str], SecretClient] | None = None,
    ) -> None:
        self._vault_url = vault_url
        self._clock = clock or SystemClock()
        self._refresh_after = refresh_after
        self._make_client = client or _secret_client
        self._client: SecretClient | None = None
        self._known: dict[str, _Fetched] = {}

    def get(self, name: str) -> str | None:
        known = self._known.get(name)
        now = self._clock.now()
        if known is not None and now - known.at < self._refresh_after:
            return known.value
        value = self._fetch(name, known)
        # What is not there yet is asked for again: somebody is about to add it.
        if value is not None:
            self._known[name] = _Fetched(value, now)
        return value

    def how_to_set(self, name: str) -> str:
        return f"Add it with: az keyvault secret set --vault-name <vault> --name {name} --value ..."

    def _fetch(self, name: str, known: _Fetched | None) -> str | None:
        client = self._connect(name)
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            return client.get_secret(name).value
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            if known is not None:
                return known.value
            raise SecretSourceError(
                f"${{keyvault:{name}}}: {self._vault_url} did not give the secret ({type(error).__name__}). "
                "Check KEY_VAULT_URL and that this identity has the role Key Vault Secrets User."
            ) from error

    def _connect(self, name: str) -> SecretClient:
        if not self._vault_url:
            raise SecretSourceError(
                f"${{keyvault:{name}}} needs a key vault, and KEY_VAULT_URL is not set. "
                "Set it to the vault's address, such as https://contoso.vault.azure.net."
            )
        if not _KEY_VAULT_NAME.match(name):
            raise SecretSourceError(
                f"${{keyvault:{name}}}: a Key Vault secret's name has letters, digits and hyphens only. "
                f"Did you mean ${{keyvault:{re.sub('[^0-9A-Za-z]+', '-', name)}}}?"
            )
        if self._client is None:
            self._client = self._make_client(self._vault_url)
        return self._client


def _secret_client(vault_url: str) -> SecretClient:
    try:
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError as error:
        raise SecretSourceError(
            "${keyvault:...} needs Azure's libraries. Install them with: pip install 'dataverse-plugin-runner[azure]'"
        ) from error
    return SecretClient(vault_url=vault_url, credential=DefaultAzureCredential())


class Secrets:
    """Replaces references by what they stand for."""

    def __init__(self, sources: Mapping[str, SecretSource]) -> None:
        self._sources = sources

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, key_vault_url: str | None = None, clock: Clock | None = None
    ) -> Secrets:
        return cls(
            {
                "env": EnvironmentSecrets(environ),
                "keyvault": KeyVaultSecrets(key_vault_url or environ.get("KEY_VAULT_URL"), clock=clock),
            }
        )

    def resolve(self, value: Any) -> Any:
        """``value`` with every reference in its texts replaced, however deep in mappings and lists.

        Raises:
          SecretNotFoundError: a name is unset and the reference has no default.
          SecretSourceError: a source is unknown, not configured, or did not answer.
        """
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self._look_up(_reference(match)), value)
        if isinstance(value, Mapping):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolve(item) for item in value]
        return value

    def _look_up(self, reference: SecretReference) -> str:
        source = self._sources.get(reference.source)
        if source is None:
            known = ", ".join(f"${{{name}:...}}" for name in self._sources) or "none"
            raise SecretSourceError(f"{reference} names a source that does not exist here. Known: {known}.")
        value = source.get(reference.name)
        if value is not None:
            if reference.source != "env" or _SECRET_VARIABLE.search(reference.name):
                register_secret(value)
            return value
        if reference.default is None:
            raise SecretNotFoundError(f"{reference} has no value. {source.how_to_set(reference.name)}")
        return reference.default
