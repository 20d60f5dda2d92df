"""What an answer says of itself: the shape of its rows (``@odata.context``) and which preferences were heeded.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/join-tables
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.emulator.query.odata import ExpandItem, QueryOptions
from runner.emulator.webapi.http import Preferences, Response

_APPLIED = "Preference-Applied"


def selection(options: QueryOptions) -> str:
    """The properties selected and expanded: ``(name,primarycontactid(fullname))``; empty when all are."""
    parts = [*(options.select or ()), *map(_expanded, options.expand)]
    return f"({','.join(parts)})" if parts else ""


def _expanded(item: ExpandItem) -> str:
    return f"{item.navigation_property}{'/$ref' if item.is_reference else ''}{selection(item.options) or '()'}"


def with_applied(response: Response, preferences: Preferences) -> Response:
    """The response, with what it applied of the preferences that any answer may apply."""
    if not response.body or response.status >= 400:
        return response
    applied = ",".join((*_applied_by(response), *_annotations(preferences)))
    return Response(response.status, {**response.headers, _APPLIED: applied}, response.body) if applied else response


def _applied_by(response: Response) -> Iterator[str]:
    if _APPLIED in response.headers:
        yield response.headers[_APPLIED]


def _annotations(preferences: Preferences) -> Iterator[str]:
    if preferences.include_annotations:
        yield f'odata.include-annotations="{",".join(preferences.include_annotations)}"'
