"""Microsoft's own Python SDK, unmodified, against the served emulator over https.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/sdk-python/
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

import pytest
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError, MetadataError
from PowerPlatform.Dataverse.models import UpsertItem
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.query_builder import ExpandOption
from PowerPlatform.Dataverse.models.relationship import ManyToManyRelationshipMetadata

from azure_bridge.clock import SystemClock
from runner.emulator.emulator import Emulator
from runner.web.certificate import certificate_in
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts

FORMATTED = "@OData.Community.Display.V1.FormattedValue"


class AnyToken:
    """What azure-identity's credentials look like."""

    def get_token(self, *scopes, **options):
        return AccessToken("anything", 4102444800)


class Priority(IntEnum):
    Low = 100000000
    High = 100000001


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificate_in(tmp_path_factory.mktemp("tls"), SystemClock())


@pytest.fixture
def client(serve, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
    with Emulator() as emulator:
        app = application(emulator, Facts("in-process simulator", certificate, require_token=False))
        with DataverseClient(serve(app, certificate), AnyToken()) as client:
            yield client
        app.close()


@pytest.fixture
def accounts(client):
    """Five accounts, Account 1 to Account 5, with revenues of 10 to 50."""
    rows = [{"name": f"Account {n}", "revenue": n * 10, "accountcategorycode": 1 + n % 2} for n in range(1, 6)]
    return client.records.create("account", rows)


@pytest.fixture
def project(client):
    """A table of one's own with an alternate key."""
    columns = {"new_Code": "string", "new_Budget": "decimal", "new_Due": "datetime", "new_Priority": Priority}
    table = client.tables.create("new_Project", columns, primary_column="new_Title", display_name="Project")
    client.tables.create_alternate_key("new_Project", "new_project_code", ["new_code"])
    return table


def names(rows):
    return [row["name"] for row in rows]


# --- rows ------------------------------------------------------------------------------------------------------


def test_a_row_is_created_read_changed_and_deleted(client):
    account = client.records.create("account", {"name": "Contoso", "revenue": 12.5})
    assert client.records.retrieve("account", account, select=["name"])["name"] == "Contoso"

    client.records.update("account", account, {"name": "Contoso Ltd"})
    row = client.records.retrieve("account", account, select=["name", "revenue"], include_annotations="*")
    assert (row["name"], Decimal(str(row["revenue"])), row[f"revenue{FORMATTED}"]) == ("Contoso Ltd", 12.5, "$12.50")

    client.records.delete("account", account)
    assert client.records.retrieve("account", account) is None


def test_a_choice_can_be_given_by_its_label(client):
    account = client.records.create("account", {"name": "Contoso", "accountcategorycode": "Preferred Customer"})
    assert client.records.retrieve("account", account)["accountcategorycode"] == 1


def test_changing_a_row_that_is_not_there_is_an_error(client):
    with pytest.raises(HttpError) as error:
        client.records.update("account", "00000000-0000-0000-0000-00000000dead", {"name": "Nobody"})
    assert error.value.status_code == 404
    assert "Does Not Exist" in str(error.value)


def test_lists_are_created_and_changed_at_once(client, accounts):
    client.records.update("account", accounts[:2], {"telephone1": "555"})
    client.records.update("account", accounts[2:4], [{"telephone1": "777"}, {"telephone1": "888"}])
    rows = client.records.list("account", select=["telephone1"], orderby=["name"])
    assert [row["telephone1"] for row in rows] == ["555", "555", "777", "888", None]


def test_a_list_is_created_as_a_whole_or_not_at_all(client):
    with pytest.raises(HttpError):
        client.records.create("account", [{"name": "Good"}, {"name": "x" * 200}])
    assert len(client.records.list("account")) == 0


def test_lists_are_deleted_by_a_job(client, accounts):
    assert client.records.delete("account", accounts[:3])
    assert names(client.records.list("account", select=["name"], orderby=["name"])) == ["Account 4", "Account 5"]


def test_rows_are_upserted_by_alternate_key(client, project):
    def item(code, title):
        return UpsertItem(alternate_key={"new_code": code}, record={"new_title": title})

    client.records.upsert("new_project", [item("A", "First")])
    client.records.upsert("new_project", [item("A", "First, renamed")])
    client.records.upsert("new_project", [item("A", "First again"), item("B", "Second")])
    rows = client.records.list("new_project", select=["new_code", "new_title"], orderby=["new_code"])
    assert [(row["new_code"], row["new_title"]) for row in rows] == [("A", "First again"), ("B", "Second")]


def test_rows_refer_to_each_other(client):
    contact = client.records.create("contact", {"lastname": "Lovelace"})
    account = client.records.create(
        "account", {"name": "Engines", "primarycontactid@odata.bind": f"/contacts({contact})"}
    )
    row = client.records.retrieve("account", account, select=["name"], expand=["primarycontactid($select=lastname)"])
    assert row["primarycontactid"]["lastname"] == "Lovelace"


# --- queries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (col("revenue") > 30, "45"),
        ((col("name") == "Account 1") | (col("revenue") >= 50), "15"),
        (~(col("name") == "Account 1") & (col("revenue") <= 20), "2"),
        (col("name").contains("unt 3"), "3"),
        (col("name").startswith("Account") & col("name").endswith("4"), "4"),
        (col("name").like("%2"), "2"),
        (col("name").in_(["Account 2", "Account 3"]), "23"),
        (col("revenue").between(20, 30), "23"),
        (col("accountcategorycode").in_([1]), "24"),
        (col("name").not_in(["Account 2", "Account 3"]), "145"),
        (col("telephone1").is_null() & (col("revenue") == 10), "1"),
        (col("telephone1").is_not_null(), ""),
    ],
    ids=str,
)
@pytest.mark.usefixtures("accounts")
def test_the_builders_conditions_find_their_rows(client, condition, found):
    rows = client.query.builder("account").select("name").where(condition).order_by("name").execute()
    assert names(rows) == [f"Account {digit}" for digit in found]


@pytest.mark.usefixtures("accounts")
def test_the_builder_orders_limits_and_formats(client):
    query = client.query.builder("account").select("name", "revenue").order_by("revenue", descending=True).top(2)
    rows = query.include_formatted_values().execute()
    assert [row[f"revenue{FORMATTED}"] for row in rows] == ["$50.00", "$40.00"]


def test_the_builder_expands(client):
    contact = client.records.create("contact", {"lastname": "Lovelace"})
    client.records.create("account", {"name": "A", "primarycontactid@odata.bind": f"/contacts({contact})"})
    expand = ExpandOption("primarycontactid").select("lastname")
    [row] = client.query.builder("account").select("name").expand(expand).execute()
    assert row["primarycontactid"]["lastname"] == "Lovelace"


@pytest.mark.usefixtures("accounts")
def test_pages_follow_each_other(client):
    pages = list(client.records.list_pages("account", select=["name"], orderby=["name"], page_size=2, count=True))
    assert [names(page) for page in pages] == [
        ["Account 1", "Account 2"],
        ["Account 3", "Account 4"],
        ["Account 5"],
    ]


@pytest.mark.usefixtures("accounts")
def test_fetchxml_is_answered_page_by_page(client):
    xml = """<fetch count="2"><entity name="account"><attribute name="name"/><order attribute="name"/>
      <filter><condition attribute="revenue" operator="gt" value="10"/></filter></entity></fetch>"""
    pages = [names(page) for page in client.query.fetchxml(xml).execute_pages()]
    assert pages == [["Account 2", "Account 3"], ["Account 4", "Account 5"]]


@pytest.mark.usefixtures("accounts")
def test_fetchxml_aggregates(client):
    xml = """<fetch aggregate="true"><entity name="account">
      <attribute name="revenue" alias="total" aggregate="sum"/></entity></fetch>"""
    [row] = client.query.fetchxml(xml).execute()
    assert row["total"] == 150


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM account WHERE revenue > 30 ORDER BY name", [{"name": "Account 4"}, {"name": "Account 5"}]),
        ("SELECT TOP 1 name FROM account ORDER BY revenue DESC", [{"name": "Account 5"}]),
        ("SELECT COUNT(*) AS n, SUM(revenue) AS total FROM account", [{"n": 5, "total": 150}]),
        (
            "SELECT a.name FROM account a WHERE a.name LIKE '%unt 2' OR a.name IN ('Account 3')",
            [{"name": "Account 2"}, {"name": "Account 3"}],
        ),
    ],
    ids=["where", "top", "aggregate", "alias and like"],
)
@pytest.mark.filterwarnings("ignore:Query contains a leading-wildcard")
@pytest.mark.usefixtures("accounts")
def test_sql_is_answered(client, sql, expected):
    rows = [row.to_dict() for row in client.query.sql(sql)]
    assert [{name: row[name] for name in wanted} for row, wanted in zip(rows, expected, strict=True)] == expected


def test_sql_joins(client):
    contact = client.records.create("contact", {"lastname": "Lovelace"})
    client.records.create("account", {"name": "A", "primarycontactid@odata.bind": f"/contacts({contact})"})
    sql = "SELECT a.name, c.lastname FROM account a INNER JOIN contact c ON a.primarycontactid = c.contactid"
    [row] = client.query.sql(sql)
    assert "Lovelace" in row.to_dict().values()


# --- batches ---------------------------------------------------------------------------------------------------


def test_a_batch_carries_independent_requests(client, accounts):
    batch = client.batch.new()
    batch.records.create("account", {"name": "Account 6"})
    batch.records.update("account", accounts[0], {"telephone1": "555"})
    batch.records.retrieve("account", accounts[1], select=["name"])
    batch.records.list("account", filter=col("revenue") > 40, select=["name"], count=True)
    batch.records.delete("account", accounts[4])
    batch.query.sql("SELECT name FROM account WHERE name = 'Account 6'")
    result = batch.execute()

    assert [response.status_code for response in result.responses] == [204, 204, 200, 200, 204, 200]
    assert result.responses[2].data["name"] == "Account 2"
    assert names(result.responses[3].data["value"]) == ["Account 5"]
    assert names(result.responses[5].data["value"]) == ["Account 6"]


def test_a_batch_stops_at_its_first_error_unless_told_to_go_on(client):
    def batch():
        batch = client.batch.new()
        batch.records.create("account", {"name": "Good"})
        batch.records.create("account", {"name": "x" * 200})
        batch.records.create("account", {"name": "Also good"})
        return batch

    assert [response.status_code for response in batch().execute().responses] == [204, 400]
    result = batch().execute(continue_on_error=True)
    assert [response.status_code for response in result.responses] == [204, 400, 204]
    assert result.failed[0].error_code == "0x80044331"


def test_a_change_set_refers_to_its_own_rows(client):
    batch = client.batch.new()
    with batch.changeset() as changes:
        contact = changes.records.create("contact", {"lastname": "Lovelace"})
        changes.records.create("account", {"name": "Engines", "primarycontactid@odata.bind": contact})
        changes.records.update("contact", contact, {"firstname": "Ada"})
    assert not batch.execute().has_errors
    [row] = client.records.list("account", select=["name"], expand=["primarycontactid($select=fullname)"])
    assert row["primarycontactid"]["fullname"] == "Ada Lovelace"


def test_a_change_set_is_all_or_nothing(client):
    batch = client.batch.new()
    with batch.changeset() as changes:
        changes.records.create("account", {"name": "Good"})
        changes.records.create("account", {"name": "x" * 200})
    assert batch.execute().has_errors
    assert len(client.records.list("account")) == 0


def test_a_batch_changes_metadata(client):
    batch = client.batch.new()
    batch.tables.create("new_Visit", {"new_Note": "string"})
    batch.tables.get("account")
    assert not batch.execute(continue_on_error=True).has_errors
    assert client.tables.get("new_Visit") is not None


# --- metadata --------------------------------------------------------------------------------------------------


def test_a_table_tells_about_itself(client):
    table = client.tables.get("account")
    assert (table.logical_name, table.entity_set_name, table.primary_id_attribute, table.primary_name_attribute) == (
        "account", "accounts", "accountid", "name",
    )  # fmt: skip
    assert client.tables.get("new_nonsense") is None
    listed = client.tables.list(select=["LogicalName"], filter="LogicalName eq 'account'")
    assert [each["LogicalName"] for each in listed] == ["account"]


def test_a_table_made_here_holds_rows_at_once(client, project):
    assert (project.entity_set_name, project.logical_name) == ("new_projects", "new_project")
    row = {"new_title": "Bridge", "new_budget": 12.5, "new_due": "2026-03-01T12:00:00Z", "new_priority": "High"}
    id = client.records.create("new_project", row)
    found = client.records.retrieve("new_project", id)
    assert {name: found[name] for name in row} == {**row, "new_priority": Priority.High}


def test_a_table_is_gone_when_it_is_deleted(client, project):
    client.tables.delete("new_Project")
    assert client.tables.get("new_Project") is None
    with pytest.raises(MetadataError):
        client.records.list(project.logical_name)


def test_columns_are_added_changed_and_removed(client, project):
    assert client.tables.add_columns("new_Project", {"new_Note": "memo", "new_Open": "bool"}) == [
        "new_Note",
        "new_Open",
    ]
    client.records.create("new_project", {"new_title": "A", "new_note": "long", "new_open": True})
    client.tables.update_column("new_Project", "new_Note", {"max_length": 4000, "display_name": "Remark"})
    assert client.tables.get_column("new_Project", "new_note", typed=True)["MaxLength"] == 4000

    assert client.tables.remove_columns("new_Project", ["new_Note"]) == ["new_Note"]
    assert client.tables.get_column("new_Project", "new_note") is None


def test_columns_are_listed_as_the_client_asks(client):
    texts = client.tables.list_columns("account", select=["LogicalName"], filter="AttributeType eq 'String'")
    assert "name" in {column["LogicalName"] for column in texts}
    assert (
        client.tables.get_column("account", "revenue")["@odata.type"]
        == "#Microsoft.Dynamics.CRM.MoneyAttributeMetadata"
    )
    typed = {column["LogicalName"]: column for column in client.tables.list_columns("account", typed=True)}
    assert typed["name"]["MaxLength"] == 160
    key, *_ = client.query.sql_columns("account")
    assert (key["name"], key["is_pk"]) == ("accountid", True)


@pytest.mark.usefixtures("project")
def test_alternate_keys_are_listed_and_deleted(client):
    [key] = client.tables.get_alternate_keys("new_Project")
    assert (key.schema_name, key.key_attributes, key.status) == ("new_project_code", ["new_code"], "Active")
    client.tables.delete_alternate_key("new_Project", key.metadata_id)
    assert client.tables.get_alternate_keys("new_Project") == []


@pytest.mark.usefixtures("project")
def test_a_lookup_column_made_here_can_be_bound_at_once(client):
    relationship = client.tables.create_lookup_field(
        "new_project", "new_CustomerId", "account", display_name="Customer"
    )
    account = client.records.create("account", {"name": "Contoso"})
    row = {"new_title": "Bridge", "new_CustomerId@odata.bind": f"/accounts({account})"}
    project = client.records.create("new_project", row)
    assert client.records.retrieve("new_project", project)["_new_customerid_value"] == account

    found = client.tables.get_relationship(relationship.relationship_schema_name)
    assert (found.referenced_entity, found.referencing_entity) == ("account", "new_project")
    client.tables.delete_relationship(found.relationship_id)
    assert client.tables.get_relationship(relationship.relationship_schema_name) is None


@pytest.mark.usefixtures("project")
def test_a_many_to_many_relationship_is_made(client):
    wanted = ManyToManyRelationshipMetadata("new_project_contact", "new_project", "contact")
    client.tables.create_many_to_many_relationship(wanted)
    schema_names = {each["SchemaName"] for each in client.tables.list_table_relationships("new_Project")}
    assert "new_project_contact" in schema_names
    assert "new_project_contact" in {each["SchemaName"] for each in client.tables.list_relationships()}


def test_navigation_properties_are_discovered(client):
    relationships = client.tables.list_table_relationships("account")
    names_of_lookups = {each.get("ReferencingEntityNavigationPropertyName") for each in relationships}
    assert "primarycontactid" in names_of_lookups


# --- files -----------------------------------------------------------------------------------------------------


def test_a_file_is_uploaded_in_one_request_and_its_column_made(client, tmp_path):
    """Neither the column nor its name is there before: the SDK creates it."""
    account = client.records.create("account", {"name": "Contoso"})
    evidence = tmp_path / "receipt.pdf"
    evidence.write_bytes(b"%PDF-1.7 paid")

    client.files.upload("account", account, "new_Receipt", str(evidence), mime_type="application/pdf")

    row = client.records.retrieve("account", account, select=["new_receipt", "new_receipt_name"])
    assert row["new_receipt_name"] == "receipt.pdf"
    assert row["new_receipt"]


def test_a_file_is_uploaded_in_chunks_and_replaced(client, tmp_path):
    account = client.records.create("account", {"name": "Contoso"})
    evidence = tmp_path / "evidence.bin"
    for content in (bytes(9 * 1024 * 1024), b"new"):
        evidence.write_bytes(content)
        client.files.upload("account", account, "new_Evidence", str(evidence), mode="chunk", if_none_match=False)
    (row,) = client.records.list("account", expand=["account_FileAttachments"], select=["new_evidence"])
    (file,) = row["account_FileAttachments"]
    assert (file["filename"], file["filesizeinbytes"]) == ("evidence.bin", 3)
    assert file["fileattachmentid"] == row["new_evidence"]
