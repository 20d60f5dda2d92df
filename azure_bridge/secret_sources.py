"""Where the references to secrets are looked up: what a source is, its errors, and the environment as one.

    SecretError
      SecretNotFoundError     the source has no such name: set it
      SecretSourceError       the source cannot be used: configure it, or try again

The other source is :mod:`azure_bridge.key_vault`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class SecretError(Exception):
    """A reference cannot be resolved."""

    exit_code = 2


class SecretNotFoundError(SecretError):
    """The source has no secret of this name: set it."""


class SecretSourceError(SecretError):
    """The source does not exist, is not configured, or did not answer."""


class SecretSource(Protocol):
    """Where one kind of reference is looked up."""

    def get(self, name: str) -> str | None:
        """The value, or None when there is none. Raises SecretSourceError when the source cannot say."""

    def accepted(self, name: str) -> Sequence[str]:
        """Every value that counts now, the current one first: more than one while a secret is rotated."""

    def renew(self, name: str) -> None:
        """Look again now, where values are remembered: somebody showed one that is not known."""

    def how_to_set(self, name: str) -> str:
        """What a person does to give ``name`` a value: the end of an error message."""


class EnvironmentSecrets:
    """``${env:NAME}``: environment variables. An empty variable counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def accepted(self, name: str) -> Sequence[str]:
        value = self.get(name)
        return () if value is None else (value,)

    def renew(self, name: str) -> None:
        """A process is told its environment once."""

    def how_to_set(self, name: str) -> str:
        return f"Set the environment variable {name}, or put {name}=... into .env."
