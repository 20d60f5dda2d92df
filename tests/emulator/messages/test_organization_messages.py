"""Questions about the organization, and about what a row may become."""

from __future__ import annotations

from decimal import Decimal

import pytest
from emulator_samples import account

from dataverse_client.types import EntityReference, OrganizationRequest, new_guid
from runner.emulator.errors import EntityNotFound, InvalidArgument, MethodNotSupported, ObjectDoesNotExist
from runner.emulator.seed import INTEGRATION_USER_ID, currency_id
from runner.execution.step import StepError


@pytest.mark.behaviour("Messages", "RetrieveVersion answers the version of the environment", "org-service/use-messages")
def test_the_version_has_four_numbers(send):
    assert send("RetrieveVersion")["Version"].split(".")[:2] == ["9", "2"]


@pytest.mark.behaviour(
    "Messages",
    "RetrieveCurrentOrganization tells the organization's id, names and addresses",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.retrievecurrentorganizationrequest",
)
def test_the_current_organization(crm, send):
    detail = send("RetrieveCurrentOrganization", AccessType=0)["Detail"]
    assert detail["OrganizationId"] == crm.organization.organization_id
    assert detail["UniqueName"] == crm.organization.organization_name
    assert detail["Endpoints"]["OrganizationDataService"].startswith(detail["Endpoints"]["WebApplication"])


def test_english_is_the_only_language(send):
    assert send("RetrieveAvailableLanguages") == {"LocaleIds": [1033]}
    assert send("RetrieveProvisionedLanguages") == {"RetrieveProvisionedLanguages": [1033]}


@pytest.mark.behaviour(
    "Messages",
    "RetrieveTotalRecordCount counts the rows of each table, and no step of RetrieveMultiple runs",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.retrievetotalrecordcountrequest",
)
def test_total_record_counts(service, send, ran):
    messages = ran("RetrieveMultiple")
    service.create(account())
    counts = send("RetrieveTotalRecordCount", EntityNames=["account", "contact"])["EntityRecordCountCollection"]
    assert counts == {"account": 1, "contact": 0}
    assert messages == []


def test_the_rows_of_a_table_that_there_is_not_are_not_counted(send):
    with pytest.raises(EntityNotFound, match="'acount'"):
        send("RetrieveTotalRecordCount", EntityNames=["acount"])


@pytest.mark.behaviour(
    "Messages",
    "RetrieveExchangeRate answers the rate of a currency, and may have steps",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.retrieveexchangeraterequest",
)
def test_an_exchange_rate(send, ran):
    messages = ran("RetrieveExchangeRate", entity="transactioncurrency")
    assert send("RetrieveExchangeRate", TransactionCurrencyId=currency_id("EUR")) == {"ExchangeRate": Decimal("0.8")}
    assert messages == ["RetrieveExchangeRate"]


def test_the_rate_of_a_currency_that_there_is_not(send):
    with pytest.raises(ObjectDoesNotExist):
        send("RetrieveExchangeRate", TransactionCurrencyId=new_guid())
    with pytest.raises(InvalidArgument, match="'TransactionCurrencyId' must be the id of a currency"):
        send("RetrieveExchangeRate", TransactionCurrencyId="EUR")


@pytest.mark.behaviour(
    "Messages",
    "IsValidStateTransition says whether the status reason belongs to the state",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.isvalidstatetransitionrequest",
)
@pytest.mark.parametrize(
    ("state", "status", "valid"),
    [("Inactive", 2, True), ("1", 2, True), ("Active", 1, True), ("Inactive", 1, False), ("Won", 3, False)],
)
def test_a_state_transition(service, send, state, status, valid):
    row = EntityReference("account", service.create(account()))
    assert send("IsValidStateTransition", Entity=row, NewState=state, NewStatus=status) == {"IsValid": valid}


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        (EntityReference("account", new_guid()), ObjectDoesNotExist),
        (EntityReference("systemuser", INTEGRATION_USER_ID), MethodNotSupported),
    ],
    ids=["no row", "no states"],
)
def test_a_row_without_a_state_has_no_transition(send, row, refusal):
    with pytest.raises(refusal):
        send("IsValidStateTransition", Entity=row, NewState="Active", NewStatus=1)


@pytest.mark.behaviour(
    "Registration", "No custom step runs on messages that only tell facts, such as RetrieveVersion", "common"
)
@pytest.mark.parametrize("message", ["RetrieveVersion", "RetrieveTotalRecordCount", "IsValidStateTransition"])
def test_a_question_runs_no_steps(on, message):
    with pytest.raises(StepError):
        on(message, 20, entity=None)(print)


@pytest.mark.behaviour(
    "Messages", "The steps of PublishXml are registered for Publish, of PublishAllXml for PublishAll", "common"
)
def test_publishing_runs_its_steps(send, ran):
    ran("Publish", entity=None)
    messages = ran("PublishAll", entity=None)
    assert send("PublishXml", ParameterXml="<importexportxml/>") == send("PublishAllXml") == {}
    assert messages == ["Publish", "PublishAll"]


def test_what_to_publish_must_be_said(send):
    with pytest.raises(InvalidArgument, match="ParameterXml"):
        send("PublishXml")


def test_a_plugin_counts_what_its_transaction_has_written(service, on):
    request = OrganizationRequest("RetrieveTotalRecordCount", {"EntityNames": ["account"]})
    counts = []

    @on("Create", 40)
    def count(context):
        counts.append(context.organization.execute(request).results["EntityRecordCountCollection"]["account"])

    service.create(account())
    assert counts == [1]
