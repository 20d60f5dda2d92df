"""How Dataverse proves that it is the sender: a key in the address, in headers, or in the query string.

There is no signature: whoever knows the values is Dataverse.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-web-hook
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

from azure_bridge.secrets import Secrets, SecretSourceError

if TYPE_CHECKING:
    from runner.registrations.model import Registrations

#: The query parameter of Dataverse's WebhookKey.
_KEY_PARAMETER = "code"


@dataclass(frozen=True, slots=True)
class Credential:
    """The values a request must carry, all of them, in one ``place``; each may be a reference to a secret."""

    place: Literal["header", "query"]
    values: Mapping[str, str] = field(repr=False)

    @classmethod
    def key(cls, value: str) -> Credential:
        return cls("query", {_KEY_PARAMETER: value})

    def is_shown(self, given: Mapping[str, str], secrets: Secrets) -> bool:
        """Every value is compared, in constant time, so that the answer's time tells nothing of them."""
        shown = [
            True in [_same(given.get(name, ""), value) for value in secrets.accepted(text)]
            for name, text in self.values.items()
        ]
        return bool(shown) and all(shown)


class Credentials:
    """What Dataverse may show; several count, so that keys can be changed without a gap, and rotated without a restart.

    Raises:
      SecretError: a reference cannot be resolved.
    """

    def __init__(self, credentials: Iterable[Credential], secrets: Secrets) -> None:
        self._credentials = tuple(credentials)
        self._secrets = secrets
        for text in self._texts():
            secrets.accepted(text)

    @classmethod
    def of(cls, keys: Iterable[str], registrations: Registrations, secrets: Secrets) -> Credentials:
        """The configured keys, and what the registered webhook endpoints show.

        Raises:
          SecretError: a reference of an endpoint cannot be resolved.
        """
        return cls([*map(Credential.key, keys), *_registered(registrations)], secrets)

    def __bool__(self) -> bool:
        return bool(self._credentials)

    def admit(self, headers: Mapping[str, str], query: bytes) -> bool:
        """Whether a request shows one of them. ``headers`` have lower-case names."""
        places = {"header": headers, "query": dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))}
        # A list: every credential is compared, whichever is the right one.
        return True in [each.is_shown(places[each.place], self._secrets) for each in self._credentials]

    def renew(self) -> None:
        """Have secrets that were rotated meanwhile looked up. May wait for the vault."""
        for text in self._texts():
            with suppress(SecretSourceError):
                self._secrets.renew(text)

    def _texts(self) -> list[str]:
        return [text for each in self._credentials for text in each.values.values()]


def _registered(registrations: Registrations) -> Iterable[Credential]:
    for endpoint in registrations.endpoints.values():
        if endpoint.type != "webhook":
            continue
        auth = endpoint.auth
        if auth.type == "webhook-key":
            yield Credential.key(auth.value)
        elif auth.type == "http-header":
            yield Credential("header", {name.lower(): value for name, value in auth.values.items()})
        else:
            yield Credential("query", auth.values)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
