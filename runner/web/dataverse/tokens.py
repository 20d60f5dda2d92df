"""Access tokens of a served emulator: opaque, short-lived, and valid in this process only.

Source: https://learn.microsoft.com/entra/identity-platform/access-tokens
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

from azure_bridge.clock import Clock

#: As long as Microsoft Entra's, less the second it takes off.
LIFETIME = timedelta(seconds=3599)

_SIGNATURE_BYTES = 32


class TokenExpired(Exception):
    """The token was issued here and is no longer valid."""


class TokenIssuer:
    """Issues tokens and reads them again. Nothing is kept: a token says whose it is, signed."""

    def __init__(self, clock: Clock, lifetime: timedelta = LIFETIME) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def issue(self, user_id: str) -> str:
        expires = int((self._clock.now() + self.lifetime).timestamp())
        claims = f"{user_id} {expires}".encode()
        return urlsafe_b64encode(self._signature(claims) + claims).rstrip(b"=").decode()

    def user_of(self, token: str) -> str | None:
        """The systemuser it was issued to; None when it was issued elsewhere. Raises TokenExpired."""
        try:
            content = urlsafe_b64decode(token.encode() + b"==")
        except ValueError:
            return None
        signature, claims = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(claims)):
            return None
        user_id, expires = claims.decode().split(" ")
        if self._clock.now().timestamp() >= int(expires):
            raise TokenExpired
        return user_id

    def _signature(self, claims: bytes) -> bytes:
        return hmac.digest(self._key, claims, "sha256")
