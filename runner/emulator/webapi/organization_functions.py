"""Functions about the organization as a whole, and the actions that publish customizations.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from runner.emulator.webapi.exchange import Exchange

_Results: TypeAlias = "Mapping[str, Any]"


def _plain(name: str, exchange: Exchange, arguments: _Results) -> _Results:
    """The results of the message as they are."""
    return exchange.execute(name, **arguments)


def _current_organization(exchange: Exchange, arguments: _Results) -> _Results:
    """The message's, with the addresses under which the client reaches this environment."""
    site = exchange.address.root.partition("/api/")[0]
    addresses = {"WebApplication": f"{site}/", "OrganizationDataService": f"{exchange.address.root}/"}
    detail = exchange.execute("RetrieveCurrentOrganization", **arguments)["Detail"]
    return {"Detail": {**detail, "Endpoints": _collection(addresses)}}


def _total_record_count(exchange: Exchange, arguments: _Results) -> _Results:
    counts = exchange.execute("RetrieveTotalRecordCount", **arguments)["EntityRecordCountCollection"]
    return {"EntityRecordCountCollection": _collection(counts)}


def _collection(items: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary as complex types such as EntityRecordCountCollection show it."""
    return {"Count": len(items), "IsReadOnly": False, "Keys": list(items), "Values": list(items.values())}


def _publish(name: str, exchange: Exchange, body: dict[str, Any]) -> None:
    exchange.execute(name, **body)


#: Functions: they take the exchange and the arguments, and return the results.
ORGANIZATION_FUNCTIONS: Mapping[str, Callable[[Exchange, _Results], _Results]] = {
    **{
        name: partial(_plain, name)
        for name in (
            "RetrieveAllEntities",
            "RetrieveAvailableLanguages",
            "RetrieveEntity",
            "RetrieveExchangeRate",
            "RetrieveProvisionedLanguages",
            "RetrieveVersion",
            "WhoAmI",
        )
    },
    "RetrieveCurrentOrganization": _current_organization,
    "RetrieveTotalRecordCount": _total_record_count,
}
#: Actions, which return nothing.
PUBLISHING: Mapping[str, Callable[[Exchange, dict[str, Any]], None]] = {
    name: partial(_publish, name) for name in ("PublishAllXml", "PublishXml")
}
