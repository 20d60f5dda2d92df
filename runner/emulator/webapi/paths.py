"""Parses a resource path into segments: ``accounts(<guid>)/primarycontactid/$ref``.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-navigation-properties
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from runner.emulator.query.odata import parse_arguments, split_outside
from runner.emulator.webapi.faults import BadRequest

_SEGMENT = re.compile(r"([\w.$@-]+)(?:\((.*)\))?\Z", re.DOTALL)
MAX_SEGMENTS = 20


class Segment(NamedTuple):
    """A name and the arguments in its parentheses; None when it has no parentheses."""

    name: str
    arguments: Mapping[str, Any] | None = None

    @property
    def operation(self) -> str | None:
        """The action or function that the segment names, such as ``CreateMultiple``; None if it is not one."""
        namespace, _, name = self.name.rpartition(".")
        return name if namespace == "Microsoft.Dynamics.CRM" else None


def parse_path(path: str, parameters: Mapping[str, str]) -> list[Segment]:
    """Parse a path that is still encoded. ``parameters`` holds the values of aliases such as ``@p``.

    Raises:
      BadRequest, ODataError: the path is malformed.
    """
    # A slash in a key is encoded as %2F or within quotes, and does not separate segments.
    parts = [part for part in split_outside(path.replace("%27", "'"), "/") if part]
    if len(parts) > MAX_SEGMENTS:
        raise BadRequest("The URL has too many segments.")
    return [_segment(unquote(part), parameters) for part in parts]


def _segment(text: str, parameters: Mapping[str, str]) -> Segment:
    match = _SEGMENT.match(text)
    if match is None:
        raise BadRequest(f"URL was not parsed: the segment '{text}' is malformed.")
    name, arguments = match.groups()
    return Segment(name, None if arguments is None else parse_arguments(arguments, parameters))
