"""Finds out who sends a request, and whether it is allowed.

Dataverse asks every request for a token. A served emulator asks only those that come from elsewhere: on the
machine itself no token, or one from anywhere, makes the caller the administrator.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/authenticate-oauth
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from runner.web.dataverse.tokens import TokenExpired, TokenIssuer
from runner.web.server import is_loopback


class Unauthorized(Exception):
    """The request carries no token that counts. The message says what to do."""


class Doorkeeper:
    """Lets requests in. ``require_token``: also those of this machine need a token that was issued here."""

    def __init__(self, tokens: TokenIssuer, *, require_token: bool = False) -> None:
        self._tokens = tokens
        self._require_token = require_token

    def admit(self, client: str, headers: Mapping[str, str]) -> str | None:
        """The systemuser the request is made as; None is the administrator.

        ``client`` is the address the request came from.
        Raises:
          Unauthorized: nobody is known by that.
        """
        user_id = self._user_of(headers.get("authorization", ""))
        if user_id is None and (self._require_token or not is_local(client, headers)):
            raise Unauthorized(
                "A bearer token of this server's token endpoint is needed: ask POST /{tenant}/oauth2/v2.0/token "
                "for one, with any client id and secret. Only requests of the machine itself may go without."
            )
        return user_id

    def _user_of(self, authorization: str) -> str | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self._tokens.user_of(token.strip())
        except TokenExpired:
            raise Unauthorized("The token has expired. Ask the token endpoint for a new one.") from None


def is_local(client: str, headers: Mapping[str, str]) -> bool:
    """Whether the request was made on this machine, and not by a web page that made a browser here send it."""
    return (
        is_loopback(client)
        and _leads_here(f"//{headers.get('host', '')}")
        and ("origin" not in headers or _leads_here(headers["origin"]))
    )


@lru_cache(256)
def _leads_here(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
