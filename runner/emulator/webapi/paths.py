"""The segments of a resource path: ``accounts(<guid>)/primarycontactid/$ref``.

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
    """A name and what stands in its parentheses, by name; None when there are none."""

    name: str
    arguments: Mapping[str, Any] | None = None

    @property
    def operation(self) -> str | None:
        """The action or function a name in the platform's namespace stands for, such as ``CreateMultiple``."""
        namespace, _, name = self.name.rpartition(".")
        return name if namespace == "Microsoft.Dynamics.CRM" else None


def parse_path(path: str, parameters: Mapping[str, str]) -> list[Segment]:
    """The segments of a still encoded path. ``parameters`` say what ``@p`` stands for.

    Raises:
      BadRequest, ODataError: the path cannot be read.
    """
    # A slash in a key arrives as %2F, or raw between quotes; both belong to the key.
    parts = [part for part in split_outside(path.replace("%27", "'"), "/") if part]
    if len(parts) > MAX_SEGMENTS:
        raise BadRequest("The URL has too many segments.")
    return [_segment(unquote(part), parameters) for part in parts]


def _segment(text: str, parameters: Mapping[str, str]) -> Segment:
    match = _SEGMENT.match(text)
    if match is None:
        raise BadRequest(f"URL was not parsed: the segment '{text}' cannot be read.")
    name, arguments = match.groups()
    return Segment(name, None if arguments is None else parse_arguments(arguments, parameters))
