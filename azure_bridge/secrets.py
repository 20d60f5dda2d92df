"""Secrets by reference: ``${env:NAME}``, ``${keyvault:NAME}``, each with an optional ``:-default``.

    secrets = Secrets.from_environment(os.environ)
    secrets.resolve({"key": "${env:STRIPE_SECRET_KEY}"})

Values from a vault, and of variables named like secrets, are registered with :mod:`azure_bridge.redaction`, which masks
them wherever they would be printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from azure_bridge.clock import Clock
from azure_bridge.key_vault import OVERLAP, REFRESH_AFTER, KeyVaultSecrets
from azure_bridge.redaction import register_secret
from azure_bridge.secret_sources import (
    EnvironmentSecrets,
    SecretError,
    SecretNotFoundError,
    SecretSource,
    SecretSourceError,
)

__all__ = [
    "OVERLAP",
    "REFRESH_AFTER",
    "SOURCES",
    "EnvironmentSecrets",
    "LiveSecrets",
    "SecretError",
    "SecretNotFoundError",
    "SecretReference",
    "SecretSource",
    "SecretSourceError",
    "Secrets",
    "references",
]

#: Where references can point.
SOURCES = frozenset({"env", "keyvault"})

_REFERENCE = re.compile(r"\$\{(?P<source>\w+):(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
#: Only variables named like this are masked: masking, say, an organization's id would make traces unreadable.
_SECRET_VARIABLE = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|CONNECTION_STRING|SAS", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SecretReference:
    """One ``${source:name:-default}``. ``str()`` of it leaves out the default, which may be a secret."""

    source: str
    name: str
    default: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"


def references(text: str) -> tuple[SecretReference, ...]:
    """The references in a text, in order.

    >>> references("Bearer ${env:TOKEN}")
    (SecretReference(source='env', name='TOKEN'),)
    """
    return tuple(_reference(match) for match in _REFERENCE.finditer(text))


def _reference(match: re.Match[str]) -> SecretReference:
    return SecretReference(match["source"], match["name"], match["default"])


class Secrets:
    """Replaces references by what they stand for."""

    def __init__(self, sources: Mapping[str, SecretSource]) -> None:
        self._sources = sources

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        key_vault_url: str | None = None,
        refresh_after: timedelta = REFRESH_AFTER,
        overlap: timedelta = OVERLAP,
        clock: Clock | None = None,
    ) -> Secrets:
        """References to ``environ``, and to a vault; the durations are :class:`KeyVaultSecrets`'s."""
        vault = KeyVaultSecrets(
            key_vault_url or environ.get("KEY_VAULT_URL"), clock=clock, refresh_after=refresh_after, overlap=overlap
        )
        return cls({"env": EnvironmentSecrets(environ), "keyvault": vault})

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

    def accepted(self, text: str) -> tuple[str, ...]:
        """Every value that counts now for ``text``, the current one first: at least one, and none of them empty.

        A text that is one reference may have several while its secret is rotated; any other has one. Raises as
        :meth:`resolve` does; an empty value, which who shows nothing would show, is none.
        """
        values = tuple(filter(None, self._values(text)))
        if not values:
            raise SecretNotFoundError(
                f"{text!r} stands for an empty secret, which anybody could show. Give it a value."
            )
        return values

    def _values(self, text: str) -> Sequence[str]:
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return (self.resolve(text),)
        reference = _reference(match)
        values = self._source(reference).accepted(reference.name)
        for value in values:
            _remember(reference, value)
        return values or (self._look_up(reference),)

    def renew(self, text: str) -> None:
        """Look again for what ``text`` refers to, without waiting until it is time. Raises SecretSourceError."""
        for reference in references(text):
            self._source(reference).renew(reference.name)

    def _source(self, reference: SecretReference) -> SecretSource:
        source = self._sources.get(reference.source)
        if source is None:
            known = ", ".join(f"${{{name}:...}}" for name in self._sources) or "none"
            raise SecretSourceError(f"{reference} names a source that does not exist here. Known: {known}.")
        return source

    def _look_up(self, reference: SecretReference) -> str:
        if "${" in (reference.default or ""):
            raise SecretSourceError(f"{reference} has another reference as its default. A default is a plain text.")
        source = self._source(reference)
        value = source.get(reference.name)
        if value is not None:
            _remember(reference, value)
            return value
        if reference.default is None:
            raise SecretNotFoundError(f"{reference} has no value. {source.how_to_set(reference.name)}")
        return reference.default


def _remember(reference: SecretReference, value: str) -> None:
    if reference.source != "env" or _SECRET_VARIABLE.search(reference.name):
        register_secret(value)


@dataclass(frozen=True, slots=True)
class LiveSecrets:
    """What ``texts`` stand for, looked up whenever it is asked for, so that a rotated secret needs no restart."""

    texts: tuple[str, ...] = field(repr=False)
    secrets: Secrets

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __call__(self) -> tuple[str, ...]:
        """Every value that counts now. Raises SecretError."""
        return tuple(value for text in self.texts for value in self.secrets.accepted(text))

    def renew(self) -> None:
        """Look again: somebody showed a value that is not among them. Raises SecretSourceError."""
        for text in self.texts:
            self.secrets.renew(text)
