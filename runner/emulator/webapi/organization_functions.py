"""Functions about the environment as a whole, and the actions that publish customizations.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from dataverse_client.types import EntityReference, guid
from runner.emulator.query.odata_binding import LANGUAGE
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest

VERSION = "9.2.0.0"

_Results: TypeAlias = "Mapping[str, Any]"


def _version(exchange: Exchange, arguments: _Results) -> _Results:
    return {"Version": VERSION}


def _available_languages(exchange: Exchange, arguments: _Results) -> _Results:
    return {"LocaleIds": [LANGUAGE]}


def _provisioned_languages(exchange: Exchange, arguments: _Results) -> _Results:
    return {"RetrieveProvisionedLanguages": [LANGUAGE]}


def _current_organization(exchange: Exchange, arguments: _Results) -> _Results:
    organization = exchange.emulator.organization
    site = exchange.address.root.partition("/api/")[0]
    addresses = {"WebApplication": f"{site}/", "OrganizationDataService": f"{exchange.address.root}/"}
    endpoints = {
        "Count": len(addresses),
        "IsReadOnly": False,
        "Keys": list(addresses),
        "Values": list(addresses.values()),
    }
    detail = {
        "OrganizationId": organization.organization_id,
        "FriendlyName": organization.organization_name,
        "UniqueName": organization.organization_name,
        "UrlName": organization.organization_name,
        "OrganizationVersion": VERSION,
        "State": "Enabled",
        "Endpoints": endpoints,
    }
    return {"Detail": detail}


def _exchange_rate(exchange: Exchange, arguments: _Results) -> _Results:
    try:
        id = guid(str(arguments.get("TransactionCurrencyId")))
    except ValueError as error:
        raise BadRequest(f"RetrieveExchangeRate needs TransactionCurrencyId: {error}.") from None
    currency = exchange.retrieve(EntityReference("transactioncurrency", id), ("exchangerate",))
    return {"ExchangeRate": currency["exchangerate"]}


def _publish(exchange: Exchange, body: dict[str, Any]) -> None:
    """Do nothing, because customizations take effect at once."""


#: Functions: they take the exchange and the arguments, and return the results.
ORGANIZATION_FUNCTIONS: Mapping[str, Callable[[Exchange, _Results], _Results]] = {
    "RetrieveAvailableLanguages": _available_languages,
    "RetrieveCurrentOrganization": _current_organization,
    "RetrieveExchangeRate": _exchange_rate,
    "RetrieveProvisionedLanguages": _provisioned_languages,
    "RetrieveVersion": _version,
}
#: Actions, which return nothing.
PUBLISHING: Mapping[str, Callable[[Exchange, dict[str, Any]], None]] = {
    "PublishAllXml": _publish,
    "PublishXml": _publish,
}
