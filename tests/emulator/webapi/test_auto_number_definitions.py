"""Autonumber columns over the Web API: defined, seeded, read back."""

from __future__ import annotations

import pytest

CLASS = "Microsoft.Dynamics.CRM.StringAttributeMetadata"
COLUMN = {
    "@odata.type": CLASS,
    "SchemaName": "new_Number",
    "AutoNumberFormat": "ACC-{SEQNUM:6}",
    "MaxLength": 100,
    "FormatName": {"Value": "Text"},
}
ATTRIBUTES = "EntityDefinitions(LogicalName='account')/Attributes"


@pytest.mark.behaviour("Web API", "AutoNumberFormat makes a text column an autonumber", "create-auto-number-attributes")
def test_a_column_is_defined_and_seeded(crm):
    crm.post(ATTRIBUTES, COLUMN)
    named = {"EntityName": "account", "AttributeName": "new_number"}
    assert crm.post("SetAutoNumberSeed", {**named, "Value": 42}).status == 204
    assert crm.post("GetNextAutoNumberValue", named).json()["NextAutoNumberValue"] == "42"
    created = crm.post("accounts?$select=new_number", {}, Prefer="return=representation")
    assert created.json()["new_number"] == "ACC-000042"
    definition = crm.get(f"{ATTRIBUTES}(LogicalName='new_number')/{CLASS}?$select=AutoNumberFormat")
    assert definition["AutoNumberFormat"] == "ACC-{SEQNUM:6}"


@pytest.mark.parametrize("wrong", [{"AutoNumberFormat": "{SEQNUM}"}, {"FormatName": {"Value": "Email"}}], ids=str)
def test_what_cannot_be_numbered_is_refused(crm, wrong):
    refused = crm.post(ATTRIBUTES, COLUMN | wrong)
    assert refused.status == 400
    assert "AutoNumberFormat" in refused.json()["error"]["message"]
