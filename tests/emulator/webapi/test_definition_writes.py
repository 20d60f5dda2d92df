"""Creating and deleting tables, columns, keys and relationships over the Web API."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from runner.execution.step import Image, Step
from runner.plugin import Plugin

CRM = "Microsoft.Dynamics.CRM."
WIDGET = "EntityDefinitions(LogicalName='new_widget')"


def label(text):
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


def attribute(kind, schema_name, **more):
    return {"@odata.type": f"{CRM}{kind}AttributeMetadata", "SchemaName": schema_name, **more}


def table(schema_name="new_Widget", *attributes, kind=""):
    name = attribute(f"{kind}String", "new_Name", MaxLength=50, IsPrimaryName=True)
    return {
        "@odata.type": f"{CRM}{kind}EntityMetadata",
        "SchemaName": schema_name,
        "DisplayName": label("Widget"),
        "OwnershipType": "UserOwned",
        "Attributes": [name, *attributes],
    }


@pytest.fixture
def widget(crm):
    response = crm.post("EntityDefinitions", table())
    assert response.status == 204
    return response.headers["OData-EntityId"]


@pytest.mark.behaviour(
    "Web API",
    "Tables and columns made over the Web API are usable at once",
    "webapi/create-update-entity-definitions-using-web-api",
)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        (attribute("Integer", "new_Value", MinValue=0, MaxValue=10), 7),
        (attribute("Decimal", "new_Value", Precision=3), Decimal("1.125")),
        (attribute("Money", "new_Value", Precision=2), Decimal("19.99")),
        (attribute("Memo", "new_Value", MaxLength=500), "long"),
        (attribute("Boolean", "new_Value", DefaultValue=True), False),
        (attribute("DateTime", "new_Value", DateTimeBehavior={"Value": "DateOnly"}), "2026-11-22"),
        (attribute("DateTime", "new_Value", Format="DateOnly"), "2026-11-22T00:00:00Z"),
        (attribute("DateTime", "new_Value", Format="DateAndTime"), "2026-11-22T17:00:00Z"),
        (attribute("Picklist", "new_Value", OptionSet={"Options": [{"Value": 5, "Label": label("Five")}]}), 5),
    ],
    ids=lambda value: value["@odata.type"].rpartition(".")[2] if isinstance(value, dict) else "",
)
def test_a_column_of_every_kind_holds_its_values(crm, widget, column, value):
    assert crm.post(f"{widget}/Attributes", column).status == 204
    id = crm.create("new_widgets", new_value=value)
    assert crm.get(f"new_widgets({id})")["new_value"] == value


@pytest.mark.behaviour(
    "Web API",
    "DateOnly as its format leaves a column a time; as its behavior, it does not",
    "behavior-format-date-time-attribute",
)
@pytest.mark.usefixtures("widget")
def test_a_format_only_says_how_a_time_is_shown(crm):
    assert crm.post(f"{WIDGET}/Attributes", attribute("DateTime", "new_Value", Format="DateOnly")).status == 204
    id = crm.create("new_widgets", new_value="2026-11-22T17:00:00Z")
    row = crm.get(f"new_widgets({id})?$select=new_value", Prefer='odata.include-annotations="*"')
    assert row["new_value"] == "2026-11-22T17:00:00Z"
    assert row["new_value@OData.Community.Display.V1.FormattedValue"] == "11/22/2026"
    definition = f"{WIDGET}/Attributes(LogicalName='new_value')/Microsoft.Dynamics.CRM.DateTimeAttributeMetadata"
    found = crm.get(f"{definition}?$select=Format,DateTimeBehavior")
    assert (found["Format"], found["DateTimeBehavior"]) == ("DateOnly", {"Value": "UserLocal"})


@pytest.mark.behaviour(
    "Web API",
    "The behavior of a date column may change to DateOnly, and not back",
    "behavior-format-date-time-attribute",
)
@pytest.mark.usefixtures("widget")
def test_a_column_of_moments_may_become_one_of_dates(crm):
    column, behavior = attribute("DateTime", "new_Value"), {"Value": "DateOnly"}
    assert crm.post(f"{WIDGET}/Attributes", column).status == 204
    id = crm.create("new_widgets", new_value="2026-11-22T17:00:00Z")
    url = f"{WIDGET}/Attributes(LogicalName='new_value')"
    assert crm.send("PUT", url, {**column, "DateTimeBehavior": behavior, "Format": "DateAndTime"}).status == 400
    assert crm.send("PUT", url, {**column, "DateTimeBehavior": behavior}).status == 204
    (row,) = crm.get("new_widgets?$filter=new_value eq 2026-11-22")["value"]
    assert (row["new_widgetid"], row["new_value"]) == (id, "2026-11-22")
    assert crm.send("PUT", url, {**column, "DateTimeBehavior": {"Value": "UserLocal"}}).status == 400


def test_several_tables_come_in_one_action_or_not_at_all(crm):
    complex_table = table("new_Gadget", attribute("ComplexInteger", "new_Count"), kind="Complex")
    assert crm.post("CreateEntities", {"Entities": [complex_table, complex_table]}).status == 400
    assert crm.send("GET", "EntityDefinitions(LogicalName='new_gadget')").status == 404
    assert crm.post("CreateEntities", {"Entities": [complex_table]}).status == 204
    crm.create("new_gadgets", new_count=1)


@pytest.mark.usefixtures("widget")
def test_choices_without_numbers_are_numbered(crm):
    options = {"Options": [{"Label": label("Small")}, {"Label": label("Large")}]}
    assert crm.post(f"{WIDGET}/Attributes", attribute("Picklist", "new_Size", OptionSet=options)).status == 204
    id = crm.create("new_widgets", new_size=100000001)
    row = crm.get(f"new_widgets({id})", Prefer='odata.include-annotations="*"')
    assert row["new_size@OData.Community.Display.V1.FormattedValue"] == "Large"


@pytest.mark.usefixtures("widget")
def test_a_column_is_changed_and_deleted(crm):
    column = f"{WIDGET}/Attributes(LogicalName='new_title')"
    crm.post(f"{WIDGET}/Attributes", attribute("String", "new_Title", MaxLength=5))
    assert crm.post("new_widgets", {"new_title": "longer"}).status == 400
    changed = attribute("String", "new_Title", MaxLength=50)
    assert crm.send("PUT", column, changed, MSCRM_MergeLabels="true").status == 204
    assert crm.post("new_widgets", {"new_title": "longer"}).status == 204
    assert crm.delete(column, If_Match="*").status == 204
    assert crm.send("GET", column).status == 404
    assert crm.post("new_widgets", {"new_title": "x"}).status == 400


KEY = {"SchemaName": "new_WidgetKey", "DisplayName": label("Key"), "KeyAttributes": ["new_name"]}


@pytest.mark.usefixtures("widget")
def test_a_key_makes_upserts_possible(crm):
    response = crm.post(f"{WIDGET}/Keys", KEY)
    for _ in range(2):
        assert crm.patch("new_widgets(new_name='A')", {}).status == 204
    assert len(crm.get("new_widgets")["value"]) == 1
    assert crm.delete(response.headers["OData-EntityId"]).status == 204
    assert crm.get(f"{WIDGET}/Keys")["value"] == []


@pytest.mark.usefixtures("widget")
class TestKeysOfRowsThatAreAlike:
    @pytest.fixture
    def rows(self, crm):
        return [crm.create("new_widgets", new_name=name) for name in ("A", "a", None, None)]

    def statuses(self, crm):
        return [key["EntityKeyIndexStatus"] for key in crm.get(f"{WIDGET}/Keys?$select=EntityKeyIndexStatus")["value"]]

    @pytest.mark.behaviour(
        "Web API", "An alternate key that rows violate is made, and has failed", "define-alternate-keys-entity"
    )
    def test_fail_and_count_for_nothing(self, crm, error_of, rows):
        assert crm.post(f"{WIDGET}/Keys", KEY).status == 204
        assert self.statuses(crm) == ["Failed"]
        assert error_of(crm.send("GET", "new_widgets(new_name='A')"))[:2] == (400, "0x80060890")
        assert crm.post("new_widgets", {"new_name": "A"}).status == 204

    @pytest.mark.behaviour(
        "Web API", "ReactivateEntityKey tries anew to make a key that failed", "define-alternate-keys-entity"
    )
    def test_are_reactivated_once_the_rows_differ(self, crm, error_of, rows):
        crm.post(f"{WIDGET}/Keys", KEY)
        names = {"EntityLogicalName": "new_widget", "EntityKeyLogicalName": "new_widgetkey"}
        assert crm.post("ReactivateEntityKey", names).status == 204
        assert self.statuses(crm) == ["Failed"]
        crm.patch(f"new_widgets({rows[1]})", {"new_name": "B"})
        assert crm.post("ReactivateEntityKey", names).status == 204
        assert self.statuses(crm) == ["Active"]
        assert error_of(crm.post("new_widgets", {"new_name": "A"}))[:2] == (412, "0x80060892")

    def test_can_be_deleted(self, crm, rows):
        key = crm.post(f"{WIDGET}/Keys", KEY).headers["OData-EntityId"]
        assert crm.delete(key).status == 204
        assert self.statuses(crm) == []

    @pytest.mark.parametrize("kind", ["Boolean", "Memo", "Money"])
    def test_are_not_made_of_columns_of_every_type(self, crm, error_of, kind):
        crm.post(f"{WIDGET}/Attributes", attribute(kind, "new_Part"))
        status, _, message = error_of(crm.post(f"{WIDGET}/Keys", {**KEY, "KeyAttributes": ["new_part"]}))
        assert (status, kind in message) == (400, True)

    def test_there_are_ten_at_most(self, crm):
        for number in range(10):
            assert crm.post(f"{WIDGET}/Keys", {**KEY, "SchemaName": f"new_Key{number}"}).status == 204
        assert crm.post(f"{WIDGET}/Keys", KEY).status == 400


class TestWhatStepsName:
    @pytest.fixture
    def column(self, crm, widget):
        crm.post(f"{WIDGET}/Attributes", attribute("String", "new_Title", MaxLength=5))
        return f"{WIDGET}/Attributes(LogicalName='new_title')"

    @pytest.mark.behaviour(
        "Web API",
        "A table or column that a step or image names cannot be deleted, 0x8004f01f",
        "reference/web-service-error-codes",
    )
    @pytest.mark.parametrize(
        "named",
        [{"filtering_attributes": frozenset({"new_title"})}, {"images": (Image("old", "pre", ("new_title",)),)}],
    )
    def test_cannot_be_deleted(self, crm, emulator, error_of, widget, column, named):
        emulator.register(Step(plugin=Nothing(), message="Update", entity="new_widget", stage=40, **named))
        for path in (column, widget):
            status, code, message = error_of(crm.delete(path))
            assert (status, code, "referenced by 1 other components" in message) == (400, "0x8004f01f", True)

    def test_a_column_no_step_filters_on_can_be_deleted(self, crm, emulator, column):
        emulator.register(Step(plugin=Nothing(), message="Update", entity="new_widget", stage=40))
        assert crm.delete(column).status == 204


class Nothing(Plugin):
    def execute(self, context):
        pass


def test_a_table_made_without_change_tracking_may_get_it(crm, error_of):
    crm.post("EntityDefinitions", {**table(), "ChangeTrackingEnabled": False})
    track = {"Prefer": "odata.track-changes"}
    assert error_of(crm.send("GET", "new_widgets?$select=new_name", **track))[:2] == (400, "0x80072491")
    assert crm.send("PUT", WIDGET, {**crm.get(WIDGET), "ChangeTrackingEnabled": True}).status == 204
    assert "@odata.deltaLink" in crm.get("new_widgets?$select=new_name", **track)


LOOKUP = {
    "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
    "SchemaName": "new_account_widget",
    "ReferencedEntity": "account",
    "ReferencingEntity": "new_widget",
    "CascadeConfiguration": {"Delete": "Cascade"},
    "Lookup": attribute("Lookup", "new_AccountId", DisplayName=label("Account")),
}


class TestRelationships:
    @pytest.mark.usefixtures("widget")
    def test_a_lookup_binds_expands_and_cascades(self, crm):
        response = crm.post("RelationshipDefinitions", LOOKUP)
        assert re.search(r"RelationshipDefinitions\([0-9a-f-]{36}\)\Z", response.headers["OData-EntityId"])
        account = crm.create("accounts", name="A")
        crm.create("new_widgets", new_name="W", new_AccountId__bind=f"accounts({account})")
        (row,) = crm.get("accounts?$select=name&$expand=new_account_widget($select=new_name)")["value"]
        assert row["new_account_widget"][0]["new_name"] == "W"
        assert crm.delete(f"accounts({account})").status == 204
        assert crm.get("new_widgets")["value"] == []

    @pytest.mark.usefixtures("widget")
    def test_a_relationship_goes_with_its_lookup(self, crm):
        relationship = crm.post("RelationshipDefinitions", LOOKUP).headers["OData-EntityId"]
        assert crm.delete(relationship).status == 204
        assert crm.send("GET", f"{WIDGET}/Attributes(LogicalName='new_accountid')").status == 404

    @pytest.mark.usefixtures("widget")
    def test_rows_are_linked_many_to_many(self, crm):
        body = {
            "@odata.type": f"{CRM}ManyToManyRelationshipMetadata",
            "SchemaName": "new_widget_account",
            "Entity1LogicalName": "new_widget",
            "Entity2LogicalName": "account",
            "IntersectEntityName": "new_widget_account",
        }
        relationship = crm.post("RelationshipDefinitions", body).headers["OData-EntityId"]
        account, widget = crm.create("accounts", name="A"), crm.create("new_widgets", new_name="W")
        members = f"new_widgets({widget})/new_widget_account"
        assert crm.post(f"{members}/$ref", {"@odata.id": f"accounts({account})"}).status == 204
        assert [row["name"] for row in crm.get(members)["value"]] == ["A"]
        assert crm.delete(relationship).status == 204


def test_a_table_is_deleted(crm, widget):
    assert crm.delete(widget, If_Match="*").status == 204
    assert crm.send("GET", "new_widgets").status == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "EntityDefinitions", {}),
        ("POST", "EntityDefinitions", {"SchemaName": "Widget", "Attributes": []}),
        ("POST", "EntityDefinitions", table("account")),
        ("POST", "EntityDefinitions", table("new_Payment")),
        ("POST", "EntityDefinitions", table("new_Other", attribute("Nonsense", "new_X"))),
        ("POST", "EntityDefinitions", {**table("new_Other"), "Attributes": []}),
        ("POST", "CreateEntities", {"Entities": [1]}),
        ("POST", "EntityDefinitions(LogicalName='account')/Attributes", attribute("String", "name")),
        ("POST", "EntityDefinitions(LogicalName='account')/Attributes", attribute("Picklist", "new_X")),
        ("POST", "EntityDefinitions(LogicalName='account')/Attributes", attribute("Lookup", 'new_"; DROP')),
        ("POST", "EntityDefinitions(LogicalName='account')/Keys", {"SchemaName": "new_K", "KeyAttributes": ["x"]}),
        ("POST", "RelationshipDefinitions", {"SchemaName": "new_r"}),
        ("POST", "RelationshipDefinitions", {**LOOKUP, "ReferencedEntity": "nothing"}),
        ("DELETE", "EntityDefinitions(LogicalName='account')", None),
        ("DELETE", "EntityDefinitions(LogicalName='account')/Attributes(LogicalName='name')", None),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(crm, emulator, method, path, body):
    before = emulator.metadata
    assert crm.send(method, path, body).status == 400
    assert emulator.metadata == before


def test_a_customer_column_refers_to_accounts_and_contacts(crm, widget):
    relationships = [
        {"SchemaName": f"new_widget_Buyer_{target}", "ReferencedEntity": target, "ReferencingEntity": "new_widget"}
        for target in ("account", "contact")
    ]
    lookup = attribute("ComplexLookup", "new_Buyer", DisplayName=label("Buyer"))
    answer = crm.post("CreateCustomerRelationships", {"OneToManyRelationships": relationships, "Lookup": lookup}).json()
    assert len(answer["RelationshipIds"]) == 2
    contact = crm.create("contacts", lastname="Doe")
    bought = crm.create("new_widgets", new_name="One", new_Buyer_contact__bind=f"/contacts({contact})")
    assert crm.get(f"new_widgets({bought})")["_new_buyer_value"] == contact


def test_a_customer_column_needs_both_of_its_tables(crm, widget):
    account = {"SchemaName": "new_a_b", "ReferencedEntity": "account", "ReferencingEntity": "new_widget"}
    body = {"OneToManyRelationships": [account], "Lookup": attribute("ComplexLookup", "new_Buyer")}
    assert crm.post("CreateCustomerRelationships", body).status == 400


@pytest.mark.behaviour(
    "Web API", "Prefer: return=representation answers the definition", "webapi/compose-http-requests-handle-errors"
)
def test_what_is_created_can_be_answered(crm, widget):
    answer = crm.post(
        f"{widget}/Attributes?$select=SchemaName", attribute("Money", "new_Price"), Prefer="return=representation"
    )
    assert answer.status == 201
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert crm.get(answer.headers["OData-EntityId"])["SchemaName"] == answer.json()["SchemaName"] == "new_Price"
