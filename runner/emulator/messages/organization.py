"""The messages that answer questions about the organization as a whole. No custom step runs on most of them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/functions
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import EntityReference, guid
from runner.emulator.call import Call
from runner.emulator.errors import EntityNotFound, InvalidArgument
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter, several
from runner.emulator.messages.reading import Answer, reading
from runner.emulator.pipeline.operation import NO_ENTITY
from runner.emulator.query.model import Aggregate, Query
from runner.emulator.query.viewpoint import LANGUAGE

VERSION = "9.2.0.0"
_CURRENCY = "transactioncurrency"
_NO_LIMIT = 2**62


def _who_am_i(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "UserId": call.user_id,
        "BusinessUnitId": call.caller.business_unit_id,
        "OrganizationId": engine.organization.organization_id,
    }


def _version(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"Version": VERSION}


def _available_languages(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"LocaleIds": [LANGUAGE]}


def _provisioned_languages(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"RetrieveProvisionedLanguages": [LANGUAGE]}


def _current_organization(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.organization.organizationdetail"""
    name, site = engine.organization.organization_name, f"https://{engine.host}/"
    detail = {
        "OrganizationId": engine.organization.organization_id,
        "FriendlyName": name,
        "UniqueName": name,
        "UrlName": name,
        "OrganizationVersion": VERSION,
        "State": "Enabled",
        "Endpoints": {"WebApplication": site, "OrganizationDataService": f"{site}api/data/v9.2/"},
    }
    return {"Detail": detail}


def _total_record_count(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Counts are of this moment, where Dataverse's are up to a day old. Raises EntityNotFound."""
    names = several(parameters, "EntityNames", str)
    return {"EntityRecordCountCollection": {name: _count(engine, name) for name in names}}


def _count(engine: Environment, table: str) -> int:
    if table not in engine.store.metadata.tables:
        raise EntityNotFound.named(table, engine.store.metadata.tables)
    # Unlike $count, this message is not limited to 5,000 rows.
    question = Query(table, aggregates=(Aggregate("count", None, "n"),), aggregate_limit=_NO_LIMIT)
    return int(engine.records.retrieve_multiple(question)[0]["n"].value)


def _exchange_rate(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.retrieveexchangeraterequest"""
    given = parameter(parameters, "TransactionCurrencyId", str)
    try:
        currency = EntityReference(_CURRENCY, guid(given))
    except ValueError as error:
        raise InvalidArgument(f"Parameter 'TransactionCurrencyId' must be the id of a currency: {error}.") from None
    return {"ExchangeRate": engine.records.retrieve(currency, ("exchangerate",), formatted=False)["exchangerate"]}


_ANSWERS: dict[str, Answer] = {
    "RetrieveAvailableLanguages": _available_languages,
    "RetrieveCurrentOrganization": _current_organization,
    "RetrieveProvisionedLanguages": _provisioned_languages,
    "RetrieveTotalRecordCount": _total_record_count,
    "RetrieveVersion": _version,
    "WhoAmI": _who_am_i,
}
_EXCHANGE_RATE = "RetrieveExchangeRate"

ORGANIZATION_MESSAGES: tuple[tuple[str, Handler], ...] = (
    *((name, reading(name, answer)) for name, answer in _ANSWERS.items()),
    (_EXCHANGE_RATE, reading(_EXCHANGE_RATE, _exchange_rate, _CURRENCY)),
)
#: The messages in lower case, and the table that each reads.
ORGANIZATION_READS = {**{name.lower(): NO_ENTITY for name in _ANSWERS}, _EXCHANGE_RATE.lower(): _CURRENCY}
