"""Functions and actions that are bound to no table."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from urllib.parse import quote

import pytest

from runner.emulator.seed import currency_id


def equals(name, value):
    return {"PropertyName": name, "ConditionOperator": "Equals", "Value": {"Type": "System.String", "Value": value}}


def metadata_changes(crm, query):
    return crm.get(f"RetrieveMetadataChanges(Query=@p1)?@p1={quote(json.dumps(query))}")["EntityMetadata"]


class TestRetrieveMetadataChanges:
    def test_projects_the_columns_asked_for(self, crm):
        (table,) = metadata_changes(
            crm,
            {
                "Criteria": {"Conditions": [equals("LogicalName", "new_payment")]},
                "Properties": {"PropertyNames": ["LogicalName", "Attributes"]},
                "AttributeQuery": {
                    "Properties": {"PropertyNames": ["MaxLength"]},
                    "Criteria": {"Conditions": [equals("AttributeType", "Memo")]},
                },
            },
        )
        lengths = {column["LogicalName"]: column["MaxLength"] for column in table["Attributes"]}
        assert lengths["new_failuremessage"] == 4000
        assert "EntitySetName" not in table

    @pytest.mark.parametrize("names", [["account", "contact"], '["account","contact"]', "['account','contact']"])
    def test_several_values_come_as_a_list_or_as_its_text(self, crm, names):
        among = {"PropertyName": "LogicalName", "ConditionOperator": "In", "Value": {"Type": "x", "Value": names}}
        standard = {
            "PropertyName": "IsCustomEntity",
            "ConditionOperator": "Equals",
            "Value": {"Type": "System.Boolean", "Value": "false"},
        }
        query = {"Criteria": {"Conditions": [among, standard]}, "Properties": {"PropertyNames": ["SchemaName"]}}
        assert {table["SchemaName"] for table in metadata_changes(crm, query)} == {"Account", "Contact"}

    def test_takes_a_stamp_and_what_deletions_to_tell_of(self, crm):
        stamp = crm.get("RetrieveMetadataChanges")["ServerVersionStamp"]
        deleted = "Microsoft.Dynamics.CRM.DeletedMetadataFilters'Entity'"
        path = "RetrieveMetadataChanges(ClientVersionStamp=@p1,DeletedMetadataFilters=@p2)"
        assert crm.get(f"{path}?@p1='{stamp}'&@p2={deleted}")["EntityMetadata"]

    def test_criteria_hold_other_filters(self, crm):
        either = [{"Conditions": [equals("LogicalName", name)]} for name in ("account", "contact")]
        query = {
            "Criteria": {"FilterOperator": "Or", "Filters": either},
            "Properties": {"PropertyNames": ["SchemaName"]},
        }
        assert {table["SchemaName"] for table in metadata_changes(crm, query)} == {"Account", "Contact"}

    @pytest.mark.parametrize("query", ["x", [1], {"Criteria": 1}, {"Criteria": {"Conditions": [{}]}}])
    def test_a_query_that_is_none_is_refused(self, crm, query):
        assert crm.send("GET", f"RetrieveMetadataChanges(Query=@p)?@p={quote(json.dumps(query))}").status == 400


class TestBulkDelete:
    @staticmethod
    def condition(name, operator, *values):
        return {"AttributeName": name, "Operator": operator, "Values": [{"Value": value} for value in values]}

    def send(self, crm, *conditions, table="account"):
        query = {"EntityName": table, "Criteria": {"FilterOperator": "And", "Conditions": list(conditions)}}
        return crm.post("BulkDelete", {"JobName": "Clean up", "QuerySet": [query]})

    def test_deletes_the_rows_it_finds_and_leaves_a_job(self, crm):
        ids = [crm.create("accounts", name=name) for name in "ABC"]
        job = self.send(crm, self.condition("accountid", "In", *ids[:2])).json()["JobId"]
        assert [row["name"] for row in crm.get("accounts?$select=name")["value"]] == ["C"]
        assert crm.get(f"asyncoperations({job})")["statuscode"] == 30

    def test_a_row_that_stays_is_counted(self, crm):
        crm.create("new_payments", new_amount=1)
        job = self.send(crm, self.condition("isocurrencycode", "Equal", "USD"), table="transactioncurrency").json()[
            "JobId"
        ]
        assert crm.get(f"asyncoperations({job})")["message"].startswith("0 rows deleted, 1 not.")

    def test_a_query_that_cannot_be_read_deletes_nothing(self, crm):
        crm.create("accounts", name="A")
        assert self.send(crm, self.condition("nonsense", "Equal", 1)).status == 400
        assert self.send(crm, self.condition("accountid", "In", "no guid")).status == 400
        assert self.send(crm, table="nonsense").status == 400
        assert crm.send("GET", "accounts/$count").body == b"1"


def test_total_record_counts_are_those_of_each_table_asked_for(crm):
    crm.create("accounts", name="A")
    path = """RetrieveTotalRecordCount(EntityNames=@p)?@p=["account","contact"]"""
    assert crm.get(path)["EntityRecordCountCollection"]["Values"] == [1, 0]


@pytest.mark.parametrize(("status", "valid"), [(2, True), (1, False)])
def test_a_state_transition_names_its_row_by_reference(crm, status, valid):
    entity = quote(json.dumps({"@odata.id": f"accounts({crm.create('accounts', name='A')})"}))
    path = f"IsValidStateTransition(Entity=@e,NewState='Inactive',NewStatus={status})?@e={entity}"
    assert crm.get(path)["IsValid"] is valid


def test_a_state_transition_needs_its_row(crm):
    assert crm.send("GET", "IsValidStateTransition(NewState='Inactive',NewStatus=2)").status == 400


def test_the_definition_of_a_table_is_a_function_as_well(crm):
    filters = "Microsoft.Dynamics.CRM.EntityFilters'Attributes'"
    table = crm.get(f"RetrieveEntity(LogicalName='account',EntityFilters={filters})")["EntityMetadata"]
    assert "name" in {column["LogicalName"] for column in table["Attributes"]}
    every = crm.get("RetrieveAllEntities(EntityFilters=@f)?@f=Microsoft.Dynamics.CRM.EntityFilters'Entity'")
    assert "account" in {table["LogicalName"] for table in every["EntityMetadata"]}


def test_a_function_is_not_posted_and_an_action_not_got(crm, error_of):
    for refused, name in ((crm.post("WhoAmI", {}), "WhoAmI"), (crm.send("GET", "BulkDelete"), "BulkDelete")):
        status, code, message = error_of(refused)
        assert (status, code) == (404, "")
        assert re.fullmatch(
            f"No HTTP resource was found that matches the request URI '.*/api/data/v9.2/{name}'.", message
        )


@pytest.mark.parametrize(
    ("call", "results"),
    [
        ("RetrieveAvailableLanguages()", {"LocaleIds": [1033]}),
        ("RetrieveProvisionedLanguages", {"RetrieveProvisionedLanguages": [1033]}),
        ("RetrieveVersion()", {"Version": "9.2.0.0"}),
        (f"RetrieveExchangeRate(TransactionCurrencyId={currency_id('EUR')})", {"ExchangeRate": Decimal("0.8")}),
    ],
)
def test_organization_functions_are_answered(crm, call, results):
    answered = crm.get(call)
    assert {name: value for name, value in answered.items() if name != "@odata.context"} == results


def test_the_organization_says_where_it_is(crm, emulator):
    access = "Microsoft.Dynamics.CRM.EndpointAccessType'Default'"
    detail = crm.get(f"RetrieveCurrentOrganization(AccessType={access})")["Detail"]
    assert detail["OrganizationId"] == emulator.organization.organization_id
    assert "http://crm.example/" in detail["Endpoints"]["Values"]


def test_a_currency_there_is_not_has_no_rate(crm):
    assert crm.send("GET", "RetrieveExchangeRate(TransactionCurrencyId=x)").status == 400
    nobody = "00000000-0000-0000-0000-00000000dead"
    assert crm.send("GET", f"RetrieveExchangeRate(TransactionCurrencyId={nobody})").status == 404


@pytest.mark.parametrize("action", ["PublishXml", "PublishAllXml"])
def test_publishing_is_accepted_and_does_nothing(crm, action):
    assert crm.post(action, {"ParameterXml": "<importexportxml/>"}).status == 204


def test_an_action_without_parameters_needs_no_body(crm):
    assert crm.send("POST", "PublishAllXml").status == 204
