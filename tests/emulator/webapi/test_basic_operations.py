"""The requests of Microsoft's basic operations sample, in its order, as far as the tables shipped go.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-basic-operations-sample
"""

from __future__ import annotations

import pytest

FORMATTED = 'odata.include-annotations="OData.Community.Display.V1.FormattedValue"'


@pytest.fixture
def rafel(crm):
    return f"contacts({crm.create('contacts', firstname='Rafel', lastname='Shillo')})"


def test_a_contact_is_created_changed_and_read(crm, rafel):
    assert crm.patch(rafel, {"annualincome": 80000, "jobtitle": "Junior Developer"}, If_Match="*").status == 204
    query = "$select=fullname,annualincome,jobtitle,description"
    row = crm.get(f"{rafel}?{query}", Prefer=FORMATTED)
    assert (row["fullname"], row["jobtitle"], row["description"]) == ("Rafel Shillo", "Junior Developer", None)
    assert row["annualincome@OData.Community.Display.V1.FormattedValue"] == "$80,000.00"
    assert row["_transactioncurrencyid_value@OData.Community.Display.V1.FormattedValue"] == "US Dollar"


def test_one_property_is_set_and_read_by_itself(crm, rafel):
    assert crm.send("PUT", f"{rafel}/telephone1", {"value": "555-0105"}).status == 204
    assert crm.get(f"{rafel}/telephone1")["value"] == "555-0105"


def test_an_account_is_created_for_a_contact_and_leads_to_it(crm, rafel):
    account = crm.create("accounts", name="Contoso Inc", telephone1="555-5555", primarycontactid__bind=f"/{rafel}")
    expand = "$expand=primarycontactid($select=fullname,jobtitle,annualincome)"
    row = crm.get(f"accounts({account})?$select=name&{expand}")
    assert row["primarycontactid"]["fullname"] == "Rafel Shillo"
    assert row["primarycontactid"]["contactid"] in rafel


def test_a_contact_comes_with_the_account_it_is_the_first_of(crm):
    contact = {"firstname": "Susie", "lastname": "Curtis", "jobtitle": "Coffee Master", "annualincome": 48000}
    account = crm.create("accounts", name="Fourth Coffee", primarycontactid=contact)
    row = crm.get(f"accounts({account})/primarycontactid?$select=fullname,annualincome")
    assert (row["fullname"], row["annualincome"]) == ("Susie Curtis", 48000)


def test_rows_are_associated_disassociated_and_deleted(crm, rafel):
    account = f"accounts({crm.create('accounts', name='Contoso Inc')})"
    references = f"{account}/contact_customer_accounts/$ref"
    root = "http://crm.example/api/data/v9.2"
    assert crm.post(references, {"@odata.id": f"{root}/{rafel}"}).status == 204
    assert len(crm.get(f"{account}/contact_customer_accounts?$select=fullname,jobtitle")["value"]) == 1
    assert crm.delete(f"{references}?$id={root}/{rafel}").status == 204
    assert crm.get(f"{account}/contact_customer_accounts")["value"] == []
    assert [crm.delete(row).status for row in (account, rafel)] == [204, 204]
