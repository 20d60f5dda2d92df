"""Writes the ``@odata.context`` of a response, and the header with the preferences that were applied.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/join-tables
"""

from __future__ import annotations

from runner.emulator.query.odata import ExpandItem, QueryOptions
from runner.emulator.webapi.http import Preferences, Response

_APPLIED = "Preference-Applied"


def selection(options: QueryOptions) -> str:
    """The selected and expanded properties: ``(name,primarycontactid(fullname))``; empty when all are selected."""
    parts = [*(options.select or ()), *map(_expanded, options.expand)]
    return f"({','.join(parts)})" if parts else ""


def _expanded(item: ExpandItem) -> str:
    return f"{item.navigation_property}{'/$ref' if item.is_reference else ''}{selection(item.options) or '()'}"


def with_applied(response: Response, preferences: Preferences) -> Response:
    """The response with the Preference-Applied header for the preferences that any response may apply."""
    annotations = preferences.include_annotations
    if not annotations or not response.body or response.status >= 400:
        return response
    applied = [response.headers[_APPLIED]] if _APPLIED in response.headers else []
    applied.append(f'odata.include-annotations="{",".join(annotations)}"')
    return response._replace(headers={**response.headers, _APPLIED: ",".join(applied)})
