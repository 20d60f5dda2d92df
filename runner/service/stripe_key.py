"""Sends each Stripe request with the current API key, so that rotating the key needs no restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from azure_bridge.secrets import Secrets, references
from runner.settings import SettingsError, check_stripe_mode

_UNAUTHORIZED = 401


class StripeKey:
    """The key that ``text`` is, or refers to. ``live``: the mode it must be of, also after it was rolled."""

    def __init__(self, text: str, live: bool, secrets: Secrets) -> None:
        self._text = text
        self._live = live
        self._secrets = secrets
        self._is_reference = bool(references(text))

    def __call__(self) -> str:
        """Raises SecretError, and SettingsError when what the vault has now is of the other mode."""
        if not self._is_reference:
            return self._text
        key = str(self._secrets.resolve(self._text))
        for problem in check_stripe_mode(key, live=self._live):
            raise SettingsError(problem)
        return key

    def is_another_than(self, key: str) -> bool:
        """Whether it was rolled meanwhile. May wait for the vault."""
        self._secrets.renew(self._text)
        return self() != key


class CurrentKeyClient(stripe.RequestsClient):
    """Signs in with the current key; a request that is refused with a rolled key is sent once more, with the new one.

    Source: https://docs.stripe.com/keys#rolling-keys
    """

    def __init__(self, key: StripeKey, *, timeout: tuple[float, float]) -> None:
        super().__init__(timeout=timeout)
        self._key = key

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        key = self._key()
        answer = self._request(method, url, headers, post_data, key)
        if answer[1] == _UNAUTHORIZED and self._key.is_another_than(key):
            answer = self._request(method, url, headers, post_data, self._key())
        return answer

    def _request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any, key: str
    ) -> tuple[Any, int, Mapping[str, str]]:
        return super().request(method, url, {**(headers or {}), "Authorization": f"Bearer {key}"}, post_data)
