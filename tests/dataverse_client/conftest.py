"""A Dataverse environment on the wire, played by `responses`: metadata of a few tables, and what each test adds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import responses

from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.metadata import TableMetadata
from dataverse_client.retry import RetrySettings

ENVIRONMENT = "https://contoso.crm.dynamics.com"
API = f"{ENVIRONMENT}/api/data/v9.2/"


PAYMENT_COLUMNS = {
    "new_paymentid": "Uniqueidentifier",
    "new_name": "String",
    "new_amount": "Money",
    "new_rate": "Decimal",
    "new_attempts": "Integer",
    "new_manual": "Boolean",
    "new_paidon": "DateTime",
    "new_dueon": "DateTime",
    "new_paymentstatus": "Picklist",
    "new_methods": "MultiSelectPicklist",
    "new_stripepaymentintentid": "String",
    "new_salesorderid": "Lookup",
    "new_customerid": "Customer",
    "ownerid": "Owner",
}
PAYMENT_LOOKUPS = {
    "new_salesorderid": {"salesorder": "new_SalesOrderId"},
    "new_customerid": {"account": "new_CustomerId_account", "contact": "new_CustomerId_contact"},
    "ownerid": {"owner": "ownerid"},
}
PLAIN_TABLES = {"account": "accounts", "contact": "contacts", "salesorder": "salesorders", "systemuser": "systemusers"}


def definition(
    logical_name: str, entity_set: str, columns: dict[str, str], lookups: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """What EntityDefinitions answers for a table."""
    return {
        "LogicalName": logical_name,
        "EntitySetName": entity_set,
        "PrimaryIdAttribute": f"{logical_name}id",
        "PrimaryNameAttribute": "name",
        "Attributes": [attribute(name, kind) for name, kind in columns.items()],
        "ManyToOneRelationships": [
            {
                "ReferencingAttribute": column,
                "ReferencedEntity": target,
                "ReferencingEntityNavigationPropertyName": navigation,
            }
            for column, targets in lookups.items()
            for target, navigation in targets.items()
        ],
        "Keys": [],
    }


def attribute(name: str, kind: str) -> dict[str, Any]:
    on_the_wire = "Virtual" if kind == "MultiSelectPicklist" else kind
    return {"LogicalName": name, "AttributeType": on_the_wire, "AttributeTypeName": {"Value": f"{kind}Type"}}


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """The environment; a request nobody expected fails the test."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        payment = definition("new_payment", "new_payments", PAYMENT_COLUMNS, PAYMENT_LOOKUPS)
        mock.get(f"{API}EntityDefinitions(LogicalName='new_payment')", json=payment)
        for name, entity_set in PLAIN_TABLES.items():
            columns = {f"{name}id": "Uniqueidentifier", "name": "String", "number": "String"}
            mock.get(f"{API}EntityDefinitions(LogicalName='{name}')", json=definition(name, entity_set, columns, {}))
        yield mock


@pytest.fixture
def client(web: responses.RequestsMock) -> DataverseClient:
    return DataverseClient(ENVIRONMENT, tokens=NoAuthentication(), retry=RetrySettings(back_off=False))


@pytest.fixture
def sent(web: responses.RequestsMock) -> Callable[[], list[Any]]:
    """The requests that were sent, without those for metadata."""
    return lambda: [call.request for call in web.calls if "EntityDefinitions" not in str(call.request.url)]


@pytest.fixture
def body() -> Callable[[Any], Any]:
    """The JSON a request carries, money as Decimal."""
    return lambda request: json.loads(request.body, parse_float=Decimal)


@pytest.fixture
def payment_table() -> TableMetadata:
    return TableMetadata("new_payment", "new_payments", "new_paymentid", "new_name", PAYMENT_COLUMNS, PAYMENT_LOOKUPS)


@pytest.fixture
def tables(payment_table: TableMetadata) -> Callable[[str], TableMetadata]:
    known = {name: TableMetadata(name, plural, f"{name}id", "name", {}, {}) for name, plural in PLAIN_TABLES.items()}
    return {**known, "new_payment": payment_table}.__getitem__
