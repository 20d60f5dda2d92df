"""Changing what is there through its definition, and choices that columns share."""

from __future__ import annotations

import pytest

CRM = "Microsoft.Dynamics.CRM."
ACCOUNT = "EntityDefinitions(LogicalName='account')"
PAYMENT = "EntityDefinitions(LogicalName='new_payment')"
PARENT = "RelationshipDefinitions(SchemaName='account_parent_account')"


def label(text):
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


def text_of(labelled):
    return labelled["UserLocalizedLabel"]["Label"]


def options_of(found):
    return [(option["Value"], text_of(option["Label"])) for option in found["Options"]]


@pytest.fixture
def put(crm):
    """Reads a definition, changes it and puts it back, as clients do; answers it as it is then."""

    def write(path, cast="", **changes):
        path = f"{path}/{CRM}{cast}" if cast else path
        response = crm.send("PUT", path, {**crm.get(path), **changes}, MSCRM_MergeLabels="true")
        assert response.status == 204, response.body
        return crm.get(path)

    return write


@pytest.mark.behaviour(
    "Web API", "PUT changes a table's definition, PATCH cannot", "webapi/create-update-entity-definitions-using-web-api"
)
@pytest.mark.parametrize("table", [ACCOUNT, PAYMENT])
def test_a_table_is_renamed(crm, put, table):
    changed = put(table, DisplayName=label("Firm"), DisplayCollectionName=label("Firms"))
    assert (text_of(changed["DisplayName"]), text_of(changed["DisplayCollectionName"])) == ("Firm", "Firms")
    assert crm.patch(table, {}).status == 405


@pytest.mark.behaviour(
    "Web API",
    "Change tracking is enabled once and for all",
    "use-change-tracking-synchronize-data-external-systems",
)
def test_change_tracking_is_not_disabled_again(crm, error_of):
    status, _, message = error_of(crm.send("PUT", ACCOUNT, {**crm.get(ACCOUNT), "ChangeTrackingEnabled": False}))
    assert (status, "cannot be disabled" in message) == (400, True)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{ACCOUNT}/Attributes(LogicalName='name')", "String"),
        (f"{PAYMENT}/Attributes(LogicalName='new_name')", "String"),
    ],
)
def test_a_column_is_changed(crm, put, error_of, path, kind):
    """Columns of the platform too; the URL may end in the kind it is."""
    changed = put(path, f"{kind}AttributeMetadata", DisplayName=label("Title"), MaxLength=5)
    assert (text_of(changed["DisplayName"]), changed["MaxLength"]) == ("Title", 5)
    entity_set = "accounts" if "account" in path else "new_payments"
    body = {changed["LogicalName"]: "too long"}
    assert error_of(crm.post(entity_set, body))[:2] == (400, "0x80044331")


@pytest.mark.behaviour(
    "Web API", "PUT changes what a deletion does", "webapi/create-update-entity-relationships-using-web-api"
)
def test_a_relationship_restricts_from_now_on(crm, put):
    path = "RelationshipDefinitions(SchemaName='new_payment_SalesOrderId_salesorder')"
    put(path, "OneToManyRelationshipMetadata", CascadeConfiguration={"Delete": "Restrict"})
    order = crm.create("salesorders", name="SO-1")
    crm.create("new_payments", new_name="P", new_SalesOrderId__bind=f"/salesorders({order})")
    assert crm.delete(f"salesorders({order})").status == 405


def test_what_was_changed_stays(emulator, crm, put):
    put(ACCOUNT, DisplayName=label("Firm"))
    emulator.restore(emulator.snapshot())
    assert text_of(crm.get(ACCOUNT)["DisplayName"]) == "Firm"


# --- choices --------------------------------------------------------------------------------------------------


@pytest.fixture
def colors(crm):
    """The address of a global choice of red and green."""
    options = [{"Value": 1, "Label": label("Red")}, {"Value": 2, "Label": label("Green")}]
    definition = {"@odata.type": f"{CRM}OptionSetMetadata", "Name": "new_colors", "DisplayName": label("Colors")}
    response = crm.post("GlobalOptionSetDefinitions", {**definition, "Options": options})
    assert response.status == 204, response.body
    return response.headers["OData-EntityId"]


@pytest.fixture
def painted(crm, colors):
    """A column of accounts that has the colors for options."""
    bound = {"GlobalOptionSet@odata.bind": "/GlobalOptionSetDefinitions(Name='new_colors')"}
    column = {"@odata.type": f"{CRM}PicklistAttributeMetadata", "SchemaName": "new_Color", **bound}
    assert crm.post(f"{ACCOUNT}/Attributes", column).status == 204
    return f"{ACCOUNT}/Attributes(LogicalName='new_color')/{CRM}PicklistAttributeMetadata"


@pytest.mark.behaviour(
    "Web API", "A global choice gives several columns their options", "webapi/create-update-optionsets"
)
def test_a_global_choice_has_its_options_in_every_column(crm, colors, painted, error_of):
    found = crm.get(f"{painted}?$select=LogicalName&$expand=OptionSet,GlobalOptionSet")
    assert options_of(found["OptionSet"]) == options_of(found["GlobalOptionSet"]) == [(1, "Red"), (2, "Green")]
    assert crm.create("accounts", name="A", new_color=2)
    assert error_of(crm.post("accounts", {"new_color": 3}))[:2] == (400, "0x80044330")
    assert (
        crm.post("InsertOptionValue", {"OptionSetName": "new_colors", "Value": 3, "Label": label("Blue")}).status == 200
    )
    assert crm.create("accounts", name="B", new_color=3)


def test_a_global_choice_is_found_by_name_and_by_id(crm, colors):
    (listed,) = crm.get("GlobalOptionSetDefinitions?$select=Name,IsGlobal")["value"]
    assert (listed["Name"], listed["IsGlobal"]) == ("new_colors", True)
    for address in (colors, "GlobalOptionSetDefinitions(Name='new_colors')"):
        assert options_of(crm.get(f"{address}/{CRM}OptionSetMetadata")) == [(1, "Red"), (2, "Green")]


def test_a_global_choice_is_renamed(crm, colors, put):
    assert text_of(put(colors, DisplayName=label("Paint"))["DisplayName"]) == "Paint"


def test_a_global_choice_in_use_is_not_deleted(crm, colors, painted):
    assert crm.delete(colors).status == 405
    assert crm.delete(f"{ACCOUNT}/Attributes(LogicalName='new_color')").status == 204
    assert crm.delete(colors).status == 204
    assert crm.send("GET", colors).status == 404


@pytest.mark.behaviour(
    "Web API", "Options are inserted, relabelled, ordered and deleted", "webapi/create-update-optionsets"
)
@pytest.mark.parametrize(
    "choice",
    [
        {"OptionSetName": "new_colors"},
        {"EntityLogicalName": "account", "AttributeLogicalName": "new_color"},
        {"EntityLogicalName": "account", "AttributeLogicalName": "accountcategorycode"},
    ],
    ids=["global", "a column of a global one", "the platform's"],
)
def test_options_are_changed_one_by_one(crm, painted, choice):
    inserted = crm.post("InsertOptionValue", {**choice, "Label": label("New")})
    value = inserted.json()["NewOptionValue"]
    assert (inserted.status, value) == (200, 100000000)
    assert (
        crm.post("UpdateOptionValue", {**choice, "Value": 1, "Label": label("First"), "MergeLabels": True}).status
        == 204
    )
    assert crm.post("OrderOption", {**choice, "Values": [value, 2, 1]}).status == 204
    assert crm.post("DeleteOptionValue", {**choice, "Value": 2}).status == 204
    column = choice.get("AttributeLogicalName", "new_color")
    attribute = f"{ACCOUNT}/Attributes(LogicalName='{column}')/{CRM}PicklistAttributeMetadata?$expand=OptionSet"
    assert options_of(crm.get(attribute)["OptionSet"]) == [(value, "New"), (1, "First")]


@pytest.mark.behaviour(
    "Web API", "InsertStatusValue adds a status reason to a state", "webapi/create-update-optionsets"
)
@pytest.mark.parametrize(("table", "entity_set"), [("account", "accounts"), ("new_payment", "new_payments")])
def test_a_status_reason_is_added(crm, table, entity_set):
    body = {"EntityLogicalName": table, "AttributeLogicalName": "statuscode", "StateCode": 1, "Label": label("Gone")}
    value = crm.post("InsertStatusValue", body).json()["NewOptionValue"]
    assert value >= 100000000
    id = crm.create(entity_set, statecode=1, statuscode=value)
    renamed = {"EntityLogicalName": table, "AttributeLogicalName": "statecode", "Value": 1, "Label": label("Closed")}
    assert crm.post("UpdateStateValue", {**renamed, "DefaultStatusCode": value}).status == 204
    row = crm.get(f"{entity_set}({id})?$select=statecode,statuscode", Prefer='odata.include-annotations="*"')
    formatted = "@OData.Community.Display.V1.FormattedValue"
    assert (row[f"statecode{formatted}"], row[f"statuscode{formatted}"]) == ("Closed", "Gone")
    other = crm.create(entity_set, statecode=1)
    assert crm.get(f"{entity_set}({other})?$select=statuscode")["statuscode"] == value


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "InsertOptionValue", {"OptionSetName": "new_nothing"}, "new_nothing"),
        ("POST", "InsertOptionValue", {"OptionSetName": "new_colors", "Value": 1}, "taken"),
        ("POST", "InsertOptionValue", {"OptionSetName": "new_colors", "Value": "x"}, "whole number"),
        ("POST", "InsertOptionValue", {"EntityLogicalName": "nothing"}, "nothing"),
        ("POST", "InsertOptionValue", {"EntityLogicalName": "account", "AttributeLogicalName": "x"}, "'x'"),
        ("POST", "UpdateOptionValue", {"OptionSetName": "new_colors", "Value": 9}, "no option"),
        ("POST", "DeleteOptionValue", {"OptionSetName": "new_colors", "Value": 9}, "no option"),
        ("POST", "OrderOption", {"OptionSetName": "new_colors", "Values": [1]}, "each value"),
        ("POST", "InsertStatusValue", {"EntityLogicalName": "account", "StateCode": 7}, "StateCode"),
        ("POST", "UpdateStateValue", {"EntityLogicalName": "account", "Value": 7}, "7"),
        ("POST", "InsertStatusValue", {"EntityLogicalName": "team"}, "statuscode"),
        ("POST", "GlobalOptionSetDefinitions", {"Name": "colors"}, "prefix"),
        ("POST", "GlobalOptionSetDefinitions", {"Name": "new_colors"}, "already exists"),
        ("POST", f"{ACCOUNT}/Attributes", {"GlobalOptionSet@odata.bind": "/x"}, "no global choice"),
        ("POST", f"{ACCOUNT}/Attributes", {"OptionSet": {"IsGlobal": True, "Name": "new_no"}}, "new_no"),
        ("PUT", PARENT, {"CascadeConfiguration": {"Delete": "x"}}, "'x'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(crm, colors, error_of, method, path, body, words):
    if path.endswith("Attributes"):
        body = {"@odata.type": f"{CRM}PicklistAttributeMetadata", "SchemaName": "new_X", **body}
    status, _, message = error_of(crm.send(method, path, body))
    assert status == 400
    assert words in message
