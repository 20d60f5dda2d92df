"""Requests, responses, addresses and preferences, independent of the web server.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from runner.emulator.query.odata import QueryOptions, parse_options
from runner.emulator.webapi import encoding
from runner.emulator.webapi.faults import BadRequest

API_PATH = re.compile(r"/api/data/v9\.[0-2]/?", re.IGNORECASE)
MAX_PAGE_SIZE = 5000

#: How many parsed headers and query strings are cached, as clients repeat them.
_KEPT = 256
_URL = re.compile(rf"((?:(?i:https?):)?//[^/?#]*)?((?i:{API_PATH.pattern}))([^?#]*)(?:\?([^#]*))?")
_PREFERENCE = re.compile(r'\s*([\w.-]+)\s*(?:=\s*("[^"]*"|[^,;]*))?\s*(?:;[^,]*)?(?:,|$)')


# Not frozen, like other objects made for each request: creating a frozen dataclass takes several times as long.
@dataclass(slots=True)
class Request:
    """A request. ``url`` is absolute, or a path whose host is in the Host header. Header names may have any case.

    ``references`` maps the Content-IDs of a change set to the URLs of rows; it is None outside of a change set.
    ``user_id`` is the systemuser who signed in; None means the service's default.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user_id: str | None = None
    references: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        self.headers = {name.lower(): value for name, value in self.headers.items()}

    def header(self, name: str) -> str | None:
        """The value of the header ``name``, which is in lower case; None when it is missing."""
        return self.headers.get(name)

    @property
    def preferences(self) -> Preferences:
        return Preferences.of(self.header("prefer") or "")

    def json_body(self) -> dict[str, Any]:
        """The body as a JSON object. Raises BadRequest."""
        value = encoding.loads(self.body)
        if not isinstance(value, dict):
            raise BadRequest("The request body must be a JSON object.")
        return value


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes = b""

    def json(self) -> Any:
        return encoding.loads(self.body)


class Address(NamedTuple):
    """The parts of a request's URL. ``root`` is the API's URL on the client's host; ``path`` is still encoded."""

    root: str
    path: str
    query: str

    @classmethod
    def of(cls, request: Request) -> Address | None:
        """The address of a request; None when its URL is not below the Web API."""
        match = _URL.match(request.url)
        if match is None:
            return None
        origin, api, path, query = match.groups("")
        return cls(_root(origin, api, request.headers.get("host")), path, query)

    @property
    def url(self) -> str:
        """The address without its query string."""
        return f"{self.root}/{self.path}"

    def parameters(self) -> Mapping[str, str]:
        """The parameters of the query string; ``+`` is a space. Raises BadRequest when one occurs twice."""
        return _parameters(self.query)

    def options(self) -> QueryOptions:
        """The system query options among the parameters. Raises BadRequest, or ODataError when one is malformed."""
        return _options(self.query)


@lru_cache(_KEPT)
def _root(origin: str, api: str, host: str | None) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError as error:
        raise BadRequest(f"The URL cannot be read: {error}.") from None
    return f"{parts.scheme or 'http'}://{parts.netloc or host or 'localhost'}{api.rstrip('/')}"


@lru_cache(_KEPT)
def _parameters(query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=1000)
    except ValueError as error:
        raise BadRequest(f"The query string cannot be read: {error}.") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise BadRequest("A query option is specified more than once; it must be specified once at most.")
    return MappingProxyType(parameters)


@lru_cache(_KEPT)
def _options(query: str) -> QueryOptions:
    return parse_options(_parameters(query))


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences in the Prefer header. ``include_annotations`` are patterns such as ``*``."""

    return_representation: bool = False
    max_page_size: int | None = None
    track_changes: bool = False
    continue_on_error: bool = False
    include_annotations: tuple[str, ...] = ()

    @classmethod
    @lru_cache(_KEPT)
    def of(cls, header: str) -> Preferences:
        """Parse the value of a Prefer header."""
        found = {name.lower(): (value or "").strip().strip('"') for name, value in _PREFERENCE.findall(header)}
        return cls(
            found.get("return") == "representation",
            _page_size(found.get("odata.maxpagesize")),
            "odata.track-changes" in found,
            found.get("odata.continue-on-error", "false").lower() in ("", "true"),
            tuple(part.strip() for part in found.get("odata.include-annotations", "").split(",") if part.strip()),
        )

    def wants(self, annotation: str) -> bool:
        """Whether to include the annotation. A pattern that begins with ``-`` excludes annotations."""
        patterns = self.include_annotations
        refused = any(_covers(pattern[1:], annotation) for pattern in patterns if pattern.startswith("-"))
        return not refused and any(_covers(pattern, annotation) for pattern in patterns)


def _covers(pattern: str, annotation: str) -> bool:
    if pattern.endswith("*"):
        return annotation.startswith(pattern[:-1])
    return pattern == annotation


def _page_size(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) <= MAX_PAGE_SIZE:
        return None
    return int(text)
