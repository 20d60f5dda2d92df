"""Masks secrets in everything that is printed, logged or traced.

A secret is recognised by its shape (Stripe keys, webhook and client secrets, Azure keys, tokens), or because the
code that holds it registered it with :func:`register_secret`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

_MASK = "***"
#: Shorter values would mask ordinary words.
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class _Shape:
    """What one kind of secret looks like. Only texts with one of ``markers`` are searched, and most texts have none."""

    kind: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]

    def may_be_in(self, lowered: str) -> bool:
        return any(marker in lowered for marker in self.markers)


def _shape(kind: str, markers: str, pattern: str) -> _Shape:
    return _Shape(kind, tuple(markers.split()), re.compile(pattern))


#: What a pattern matches before ``(?P<secret>`` stays readable, so that a reader sees which kind it was.
_SHAPES = (
    _shape("a Stripe API key", "sk_ rk_", r"\b[sr]k_(?:test|live|org)_(?P<secret>\w+)"),
    _shape("a Stripe API key", "sk_ rk_", r"\b[sr]k_(?P<secret>(?=[A-Za-z]*\d)(?=[a-z\d]*[A-Z])[A-Za-z\d]{16,})"),
    _shape("a Stripe webhook secret", "whsec_", r"\bwhsec_(?P<secret>[\w+/=]+)"),
    _shape("a client secret", "_secret_", r"\b(?:pi|seti|cs|src|in)_\w+?_secret_(?P<secret>\w+)"),
    _shape(
        "an Azure key",
        "accesskey accountkey",
        r"(?i:SharedAccessKey|AccountKey|AccessKey)\s*=\s*(?P<secret>[^;\s\"'${}]+)",
    ),
    _shape("a shared access signature", "sig=", r"[?&\s]sig=(?P<secret>[\w%+/=-]{8,})"),
    _shape("a bearer token", "bearer", r"(?i:\bbearer)\s+(?P<secret>[\w.~+/=-]{16,})"),
    # A JSON Web Token: an access token, or a workload's. Both of its JSON objects begin with ``{"``.
    _shape("a token", "eyj", r"\b(?P<secret>eyJ[\w-]{6,}\.eyJ[\w-]+(?:\.[\w-]*)?)"),
    _shape("a client secret of Microsoft Entra", "q~", r"(?P<secret>[\w.~-]{3}\dQ~[\w.~-]{31,34})"),
    _shape("a password in an address", "://", r"://[^/\s:@]+:(?P<secret>[^@\s/${}]+)@"),
)


@dataclass(frozen=True, slots=True)
class SecretFound:
    """Something that looks like a secret: which kind, and at which offset of the text. Never the value."""

    kind: str
    offset: int


def find_secrets(text: str) -> Iterator[SecretFound]:
    """Everything in ``text`` that has the shape of a secret."""
    lowered = text.lower()
    for shape in _SHAPES:
        if shape.may_be_in(lowered):
            yield from (SecretFound(shape.kind, match.start()) for match in shape.pattern.finditer(text))


def redact(text: str) -> str:
    """``text`` with every secret masked; its kind stays readable.

    >>> redact("Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6")
    'Authorization: Bearer ***'
    """
    text = _registry.mask(text)
    lowered = text.lower()
    for shape in _SHAPES:
        if shape.may_be_in(lowered):
            text = shape.pattern.sub(_mask_match, text)
    return text


def _mask_match(match: re.Match[str]) -> str:
    start, end = match.start(), match.end()
    return match.string[start : match.start("secret")] + _MASK + match.string[match.end("secret") : end]


class _Registry:
    """The values registered in this process, as one pattern with the longest first."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        with self._lock:
            if value in self._values:
                return
            self._values.add(value)
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(_MASK, text)


_registry = _Registry()


def register_secret(value: str) -> None:
    """From now on :func:`redact` masks ``value``. Values too short to be secrets are left alone."""
    if len(value) >= _SHORTEST_SECRET:
        _registry.add(value)
