"""Answers ``GET set?savedQuery=<id>`` and ``?userQuery=<id>``, which run the FetchXML of a view.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/retrieve-and-execute-predefined-queries
"""

from __future__ import annotations

from collections.abc import Mapping

from dataverse_client.types import EntityReference, guid
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import Filter
from runner.emulator.webapi import fetchxml
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import Response

#: The table of the views by parameter.
PREDEFINED: Mapping[str, str] = {"savedQuery": "savedquery", "userQuery": "userquery"}


def retrieve_multiple(exchange: Exchange, table: Table, parameter: str, scope: Filter | None = None) -> Response:
    """Run the query of a view, limited to the rows that match ``scope``.

    Raises:
      BadRequest: the view is of another table.
      ObjectDoesNotExist: there is no such view.
    """
    try:
        id = guid(exchange.parameters[parameter])
    except ValueError as error:
        raise BadRequest(f"{parameter} takes the id of a view: {error}.") from None
    view = exchange.retrieve(EntityReference(PREDEFINED[parameter], id), ("returnedtypecode", "fetchxml"))
    if view.get("returnedtypecode") != table.logical_name:
        raise BadRequest(f"The view {id} is of '{view.get('returnedtypecode')}', not of '{table.logical_name}'.")
    return fetchxml.retrieve_multiple(exchange, table, view.get("fetchxml") or "", scope)
