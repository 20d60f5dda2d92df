"""What $expand says of what it brings, where the rest is, and what it refuses; collections by themselves."""

from __future__ import annotations

import pytest

ROOT = "http://crm.example/api/data/v9.2"
CONTACTS = "contact_customer_accounts"


@pytest.fixture
def account(crm):
    """An account with the contacts Ada, Bea and Cleo, the first of whom is its primary one."""
    id = crm.create("accounts", name="Contoso")
    for name in ("Ada", "Bea", "Cleo"):
        contact = crm.create("contacts", lastname=name, parentcustomerid_account__bind=f"/accounts({id})")
        if name == "Ada":
            crm.patch(f"accounts({id})", {"primarycontactid@odata.bind": f"/contacts({contact})"})
    return id


@pytest.mark.behaviour("Web API", "@odata.context names what is expanded", "webapi/query/join-tables")
@pytest.mark.parametrize(
    ("query", "fragment"),
    [
        ("$select=name&$expand=primarycontactid($select=fullname)", "accounts(name,primarycontactid(fullname))"),
        (
            f"$select=name&$expand={CONTACTS}($select=fullname;$expand=owninguser($select=fullname))",
            f"accounts(name,{CONTACTS}(fullname,owninguser(fullname)))",
        ),
        ("$expand=createdby", "accounts(createdby())"),
        ("$select=name", "accounts(name)"),
    ],
)
def test_the_context_names_what_is_expanded(crm, account, query, fragment):
    assert crm.get(f"accounts?{query}")["@odata.context"] == f"{ROOT}/$metadata#{fragment}"
    assert crm.get(f"accounts({account})?{query}")["@odata.context"] == f"{ROOT}/$metadata#{fragment}/$entity"


@pytest.mark.behaviour(
    "Web API", "An expanded collection comes whole, with a link to it by itself", "webapi/query/join-tables"
)
def test_an_expanded_collection_says_where_it_is(crm, account):
    options = "$select=lastname;$orderby=lastname desc;$top=2"
    (row,) = crm.get(f"accounts?$select=name&$expand={CONTACTS}({options})", Prefer="odata.maxpagesize=1")["value"]
    names = [contact["lastname"] for contact in row[CONTACTS]]
    assert names == ["Cleo", "Bea"]
    link = row[f"{CONTACTS}@odata.nextLink"]
    assert link == f"{ROOT}/accounts({account})/{CONTACTS}?{options.replace(';', '&').replace(' ', '%20')}"
    assert [contact["lastname"] for contact in crm.get(link)["value"]] == names


def test_the_link_of_a_collection_keeps_what_its_filter_asks_for(crm, account):
    crm.create("contacts", lastname="R&D + 50%", parentcustomerid_account__bind=f"/accounts({account})")
    expand = f"{CONTACTS}( $select = lastname; $filter=contains(lastname,'%26D %2B 50%25'))"
    (row,) = crm.get(f"accounts?$select=name&$expand={expand}")["value"]
    (found,) = crm.get(row[f"{CONTACTS}@odata.nextLink"])["value"]
    assert found["lastname"] == row[CONTACTS][0]["lastname"] == "R&D + 50%"


@pytest.mark.behaviour(
    "Web API", "Rows of an expanded collection tell whom they refer to, selected or not", "webapi/query/join-tables"
)
def test_an_expanded_row_refers_back(crm, account):
    (row,) = crm.get(f"accounts?$select=name&$expand={CONTACTS}($select=lastname)")["value"]
    assert {contact["_parentcustomerid_value"] for contact in row[CONTACTS]} == {account}
    nested = f"{CONTACTS}($select=lastname;$expand=owninguser($select=fullname))"
    (row,) = crm.get(f"accounts?$select=name&$expand={nested}")["value"]
    assert "_parentcustomerid_value" not in row[CONTACTS][0]


@pytest.mark.behaviour("Web API", "Users and teams have their id as ownerid, too", "webapi/query/join-tables")
def test_a_user_is_a_principal(crm, account):
    user = crm.get(f"accounts({account})?$select=name&$expand=createdby($select=fullname)")["createdby"]
    assert user["ownerid"] == user["systemuserid"]


@pytest.mark.behaviour("Web API", "Collections of a nested $expand come in pages", "webapi/query/join-tables")
def test_a_nested_expansion_comes_in_pages(crm, account):
    size = {"Prefer": "odata.maxpagesize=2"}
    expand = f"{CONTACTS}($select=lastname;$expand=owninguser($select=fullname))"
    (row,) = crm.get(f"accounts?$select=name&$expand={expand}", **size)["value"]
    names = [contact["lastname"] for contact in row[CONTACTS]]
    assert row[CONTACTS][0]["owninguser"]["systemuserid"]
    rest = crm.get(row[f"{CONTACTS}@odata.nextLink"], **size)
    assert names + [contact["lastname"] for contact in rest["value"]] == ["Ada", "Bea", "Cleo"]
    assert "@odata.nextLink" not in rest


@pytest.mark.behaviour("Web API", "$expand=lookup/$ref answers the address of the row", "webapi/query/join-tables")
def test_a_lookup_may_be_expanded_to_its_address(crm, account):
    lone = crm.create("accounts", name="Lone")
    row = crm.get(f"accounts({account})?$select=name&$expand=primarycontactid/$ref")
    contact = crm.get(f"accounts({account})?$select=_primarycontactid_value")["_primarycontactid_value"]
    assert row["primarycontactid"] == {"@odata.id": f"{ROOT}/contacts({contact})"}
    assert row["_primarycontactid_value"] == contact
    assert crm.get(f"accounts({lone})?$select=name&$expand=primarycontactid/$ref")["primarycontactid"] is None


@pytest.mark.behaviour("Web API", "$expand refuses what Dataverse cannot do there", "webapi/query/join-tables")
@pytest.mark.parametrize(
    ("expand", "words"),
    [
        ("primarycontactid($select=fullname;$orderby=fullname)", r"Only \$select and \$filter clause"),
        (f"{CONTACTS}($top=1;$expand=owninguser)", r"Only \$select and \$filter clause"),
        (f"{CONTACTS}($top=1),primarycontactid($expand=owninguser)", r"Only \$select and \$filter clause"),
        (f"{CONTACTS}($count=true)", r"\$count is not supported in \$expand"),
        (f"{CONTACTS}($select=fullname;$levels=2)", r"\$levels is not supported in \$expand"),
        (f"{CONTACTS}/$ref", r"Expand with \$ref is only supported on lookup type"),
    ],
)
def test_what_cannot_be_expanded_is_refused(crm, error_of, expand, words):
    response = crm.send("GET", f"accounts?$expand={expand}")
    status, code, message = error_of(response)
    assert (status, code) == (400, "0x80060888")
    assert words.replace("\\", "") in message


def test_a_collection_answers_its_addresses(crm, account):
    references = crm.get(f"accounts({account})/{CONTACTS}/$ref")
    assert references["@odata.context"] == f"{ROOT}/$metadata#Collection($ref)"
    contacts = crm.get(f"accounts({account})/{CONTACTS}?$select=contactid")["value"]
    assert [each["@odata.id"] for each in references["value"]] == [
        f"{ROOT}/contacts({contact['contactid']})" for contact in contacts
    ]


def test_a_row_is_created_in_a_collection(crm, account):
    response = crm.post(
        f"accounts({account})/{CONTACTS}?$select=lastname", {"lastname": "Dora"}, Prefer="return=representation"
    )
    assert (response.status, response.json()["lastname"]) == (201, "Dora")
    contact = crm.get(response.headers["OData-EntityId"] + "?$select=_parentcustomerid_value")
    assert contact["_parentcustomerid_value"] == account


@pytest.mark.behaviour(
    "Web API", "Preference-Applied tells of annotations, too", "webapi/compose-http-requests-handle-errors"
)
def test_applied_preferences_are_told(crm, account):
    prefer = 'odata.maxpagesize=1,odata.include-annotations="OData.Community.Display.V1.FormattedValue"'
    assert crm.send("GET", "contacts", Prefer=prefer).headers["Preference-Applied"] == prefer
    prefer = 'return=representation,odata.include-annotations="*"'
    assert crm.post("accounts", {"name": "A"}, Prefer=prefer).headers["Preference-Applied"] == prefer
    assert "Preference-Applied" not in crm.send("GET", f"accounts({account})").headers
    assert "Preference-Applied" not in crm.post("accounts", {"name": 5}, Prefer=prefer).headers


@pytest.mark.behaviour(
    "Web API",
    "FetchXML leaves out properties that are null, OData does not",
    "webapi/retrieve-and-execute-predefined-queries",
)
def test_null_properties_of_fetchxml_are_left_out(crm, account):
    fetch = "<fetch><entity name='account'><attribute name='name'/><attribute name='accountnumber'/></entity></fetch>"
    (fetched,) = crm.get(f"accounts?fetchXml={fetch}")["value"]
    (row,) = crm.get("accounts?$select=name,accountnumber")["value"]
    assert row["accountnumber"] is None
    assert fetched == {name: value for name, value in row.items() if value is not None}


@pytest.mark.behaviour(
    "Web API",
    "A lookup of several tables has a property for each, null for rows of the others",
    "webapi/query/join-tables",
)
def test_each_property_of_a_polymorphic_lookup_leads_to_its_own_table(crm, account):
    (row,) = crm.get(
        "contacts?$filter=lastname eq 'Ada'&$expand=parentcustomerid_account($select=name),"
        "parentcustomerid_contact($select=lastname)"
    )["value"]
    assert row["parentcustomerid_account"]["name"] == "Contoso"
    assert row["parentcustomerid_contact"] is None
    contact = f"contacts({row['contactid']})"
    assert crm.get(f"{contact}/parentcustomerid_account?$select=name")["accountid"] == account
    assert crm.send("GET", f"{contact}/parentcustomerid_contact?$select=lastname").status == 204
    assert crm.send("GET", f"{contact}/parentcustomerid_contact/$ref").status == 204


def test_an_owner_is_expanded_to_its_id(crm, account):
    row = crm.get(f"accounts({account})?$select=_ownerid_value&$expand=ownerid($select=ownerid)")
    assert row["ownerid"]["ownerid"] == row["_ownerid_value"]


@pytest.mark.parametrize(
    "expand",
    [
        "primarycontactid($select=nonsense)",
        "primarycontactid($filter=nonsense eq 1)",
        f"{CONTACTS}($orderby=nonsense)",
        f"{CONTACTS}($expand=nonsense)",
        "ownerid($select=nonsense)",
    ],
)
def test_a_mistake_in_an_expansion_is_refused_though_there_is_no_row(crm, expand):
    assert crm.send("GET", f"accounts?$expand={expand}").status == 400
