"""One row over the Web API."""

from __future__ import annotations

from decimal import Decimal

import pytest

from runner.emulator.seed import INTEGRATION_USER_ID, currency_id
from runner.execution.step import Step
from runner.plugin import Plugin

MISSING = "00000000-0000-0000-0000-00000000dead"
KEY = "new_payments(new_stripepaymentintentid='pi_1')"


def test_create_answers_the_rows_address_and_nothing_else(crm):
    response = crm.post("accounts", {"name": "Contoso"})
    assert (response.status, response.body) == (204, b"")
    assert response.headers["OData-EntityId"].startswith("http://crm.example/api/data/v9.2/accounts(")


def test_create_keeps_the_id_the_client_chose(crm):
    chosen = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
    assert crm.create("accounts", accountid=chosen.upper(), name="Contoso") == chosen


def test_a_byte_order_mark_before_a_body_is_let_pass(crm):
    id = crm.post("accounts", b'\xef\xbb\xbf{"name":"Contoso"}').headers["OData-EntityId"]
    assert crm.get(id)["name"] == "Contoso"


@pytest.mark.behaviour(
    "Web API", "Prefer: return=representation answers the row", "webapi/compose-http-requests-handle-errors"
)
def test_create_can_answer_the_row(crm):
    response = crm.post("accounts?$select=name", {"name": "Contoso"}, Prefer="return=representation")
    row = response.json()
    assert response.status == 201
    assert row["name"] == "Contoso"
    assert response.headers["ETag"] == row["@odata.etag"]


@pytest.mark.parametrize("digits", ["19.99", "0.1", "12345678901.2345", "100000000000000", "5"])
def test_an_amount_comes_back_with_the_digits_it_had(crm, digits):
    id = crm.send("POST", "new_payments", f'{{"new_amount": {digits}}}'.encode()).headers["OData-EntityId"]
    assert crm.get(id)["new_amount"] == Decimal(digits)
    assert b"e+" not in crm.send("GET", id).body.lower()


@pytest.mark.parametrize(
    "form",
    [
        "/accounts({id})",
        "accounts({id})",
        "http://crm.example/api/data/v9.2/accounts({id})",
        "/api/data/v9.0/accounts({id})",
        "accounts(accountid={id})",
    ],
)
def test_a_lookup_is_bound_in_every_form_of_its_url(crm, form):
    account = crm.create("accounts", name="Contoso")
    contact = crm.create("contacts", lastname="Doe", parentcustomerid_account__bind=form.format(id=account))
    assert crm.get(f"contacts({contact})")["_parentcustomerid_value"] == account


def test_a_lookup_can_be_bound_by_alternate_key(crm):
    order = crm.create("salesorders", name="SO", new_stripepaymentintentid="pi_9")
    payment = crm.create("new_payments", new_SalesOrderId__bind="/salesorders(new_stripepaymentintentid='pi_9')")
    assert crm.get(f"new_payments({payment})")["_new_salesorderid_value"] == order


@pytest.mark.parametrize("clear", [{"new_SalesOrderId@odata.bind": None}, {"new_SalesOrderId": None}])
def test_a_lookup_is_cleared_with_null(crm, clear):
    order = crm.create("salesorders", name="SO")
    payment = crm.create("new_payments", new_SalesOrderId__bind=f"salesorders({order})")
    assert crm.patch(f"new_payments({payment})", clear).status == 204
    assert crm.get(f"new_payments({payment})")["_new_salesorderid_value"] is None


def test_annotations_come_when_asked_for(crm):
    payment = crm.create("new_payments", new_amount=1234.5, new_paymentstatus=100000005)
    plain = crm.get(f"new_payments({payment})?$select=new_amount,_ownerid_value")
    row = crm.get(f"new_payments({payment})", Prefer='odata.include-annotations="*"')
    assert not [name for name in plain if "@OData" in name]
    assert row["new_amount@OData.Community.Display.V1.FormattedValue"] == "$1,234.5000"
    assert row["new_paymentstatus@OData.Community.Display.V1.FormattedValue"] == "Completed"
    assert row["_transactioncurrencyid_value@OData.Community.Display.V1.FormattedValue"] == "US Dollar"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "ownerid"


def test_one_kind_of_annotation_alone(crm):
    payment = crm.create("new_payments", new_amount=1)
    prefer = 'odata.include-annotations="OData.Community.Display.V1.FormattedValue"'
    row = crm.get(f"new_payments({payment})", Prefer=prefer)
    assert "new_amount@OData.Community.Display.V1.FormattedValue" in row
    assert "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname" not in row


class TestPatch:
    @pytest.mark.behaviour(
        "Web API", "PATCH creates a row that is not there", "webapi/perform-conditional-operations-using-web-api"
    )
    def test_creates_a_row_that_is_not_there(self, crm):
        response = crm.patch(f"accounts({MISSING})", {"name": "Contoso"})
        assert response.status == 204
        assert crm.get(f"accounts({MISSING})")["name"] == "Contoso"

    @pytest.mark.behaviour(
        "Web API", "PATCH with If-Match: * does not create: 404", "webapi/perform-conditional-operations-using-web-api"
    )
    def test_with_if_match_does_not_create(self, crm, error_of):
        response = crm.patch(f"accounts({MISSING})", {"name": "Contoso"}, If_Match="*")
        assert error_of(response)[:2] == (404, "0x80040217")

    @pytest.mark.behaviour(
        "Web API",
        "PATCH with If-None-Match: * does not update: 412",
        "webapi/perform-conditional-operations-using-web-api",
    )
    def test_with_if_none_match_does_not_update(self, crm, error_of):
        account = crm.create("accounts", name="Contoso")
        response = crm.patch(f"accounts({account})", {"name": "Fabrikam"}, If_None_Match="*")
        assert error_of(response)[:2] == (412, "0x80040237")
        assert crm.get(f"accounts({account})")["name"] == "Contoso"

    @pytest.mark.behaviour(
        "Web API",
        "PATCH with an ETag updates that version of the row only: 412 with 0x80060882",
        "webapi/perform-conditional-operations-using-web-api",
    )
    def test_with_the_current_etag_updates_and_with_an_old_one_does_not(self, crm, error_of):
        account = crm.create("accounts", name="Contoso")
        etag = crm.get(f"accounts({account})")["@odata.etag"]
        assert crm.patch(f"accounts({account})", {"name": "Fabrikam"}, If_Match=etag).status == 204
        late = crm.patch(f"accounts({account})", {"name": "Litware"}, If_Match=etag)
        assert error_of(late)[:2] == (412, "0x80060882")
        assert crm.get(f"accounts({account})")["name"] == "Fabrikam"

    def test_by_alternate_key_creates_with_the_key_and_then_updates(self, crm):
        created = crm.patch(KEY, {"new_amount": 5}, Prefer="return=representation")
        updated = crm.patch(KEY, {"new_amount": 6}, Prefer="return=representation")
        assert (created.status, updated.status) == (201, 200)
        assert created.json()["new_stripepaymentintentid"] == "pi_1"
        assert created.headers["OData-EntityId"] == updated.headers["OData-EntityId"]
        assert updated.json()["new_amount"] == 6

    def test_by_alternate_key_with_if_match_does_not_create(self, crm, error_of):
        assert error_of(crm.patch(KEY, {"new_amount": 5}, If_Match="*"))[:2] == (404, "0x80060891")


class TestGet:
    def test_by_alternate_key(self, crm):
        payment = crm.create("new_payments", new_stripepaymentintentid="pi_1")
        assert crm.get(KEY)["new_paymentid"] == payment

    @pytest.mark.behaviour(
        "Web API",
        "GET with the current ETag in If-None-Match answers 304",
        "webapi/perform-conditional-operations-using-web-api",
    )
    def test_with_the_current_etag_answers_not_modified(self, crm):
        account = crm.create("accounts", name="Contoso")
        etag = crm.get(f"accounts({account})")["@odata.etag"]
        response = crm.send("GET", f"accounts({account})", If_None_Match=etag)
        assert (response.status, response.body) == (304, b"")

    @pytest.mark.behaviour(
        "Web API",
        "A row asked for with annotations or $expand is never 304",
        "webapi/perform-conditional-operations-using-web-api",
    )
    @pytest.mark.parametrize(("query", "prefer"), [("?$expand=createdby", ""), ("", 'odata.include-annotations="*"')])
    def test_what_else_may_have_changed_is_answered_anew(self, crm, query, prefer):
        id = crm.create("accounts", name="Contoso")
        tag = crm.get(f"accounts({id})")["@odata.etag"]
        assert crm.send("GET", f"accounts({id}){query}", If_None_Match=tag, Prefer=prefer).status == 200

    def test_selects_columns_and_always_the_id(self, crm):
        account = crm.create("accounts", name="Contoso")
        row = crm.get(f"accounts({account})?$select=name,_primarycontactid_value")
        assert set(row) == {"@odata.context", "@odata.etag", "name", "accountid", "_primarycontactid_value"}


class TestDelete:
    def test_a_deleted_row_is_not_found(self, crm):
        account = crm.create("accounts", name="Contoso")
        assert crm.delete(f"accounts({account})").status == 204
        assert crm.send("GET", f"accounts({account})").status == 404
        assert crm.delete(f"accounts({account})").status == 404

    def test_with_an_old_etag_is_refused(self, crm):
        account = crm.create("accounts", name="Contoso")
        assert crm.delete(f"accounts({account})", If_Match='W/"1"').status == 412
        assert crm.delete(f"accounts({account})", If_Match="*").status == 204

    def test_by_alternate_key(self, crm):
        crm.create("new_payments", new_stripepaymentintentid="pi_1")
        assert crm.delete(KEY).status == 204


class TestDeepInsert:
    @pytest.mark.behaviour("Web API", "POST creates related rows with their row", "webapi/create-entity-web-api")
    def test_creates_related_rows_on_both_sides(self, crm):
        account = crm.create(
            "accounts",
            name="Contoso",
            primarycontactid={"lastname": "Doe"},
            contact_customer_accounts=[{"lastname": "Roe"}, {"lastname": "Poe"}],
        )
        expand = "primarycontactid($select=lastname),contact_customer_accounts($select=lastname;$orderby=lastname)"
        row = crm.get(f"accounts({account})?$select=name&$expand={expand}")
        assert row["primarycontactid"]["lastname"] == "Doe"
        assert [member["lastname"] for member in row["contact_customer_accounts"]] == ["Poe", "Roe"]

    @pytest.mark.behaviour(
        "Web API", "POST creates nothing when a related row cannot be", "webapi/create-entity-web-api"
    )
    def test_creates_nothing_when_one_of_them_cannot_be(self, crm):
        body = {"name": "Contoso", "primarycontactid": {"lastname": "Doe"}, "contact_customer_accounts": [{"no": 1}]}
        assert crm.post("accounts", body).status == 400
        assert crm.get("accounts?$select=name")["value"] == []
        assert crm.get("contacts?$select=lastname")["value"] == []


class TestSingleProperties:
    def test_are_read_written_and_cleared(self, crm):
        account = crm.create("accounts", name="Contoso")
        assert crm.get(f"accounts({account})/name")["value"] == "Contoso"
        assert crm.send("PUT", f"accounts({account})/name", {"value": "Fabrikam"}).status == 204
        assert crm.send("GET", f"accounts({account})/name/$value").body == b"Fabrikam"
        assert crm.delete(f"accounts({account})/name").status == 204
        assert crm.send("GET", f"accounts({account})/name").status == 204
        assert crm.send("GET", f"accounts({account})/name/$value").status == 204

    def test_a_lookup_leads_to_its_row(self, crm):
        account = crm.create("accounts", name="Contoso", primarycontactid={"lastname": "Doe"})
        assert crm.get(f"accounts({account})/primarycontactid?$select=lastname")["lastname"] == "Doe"


class TestReferences:
    def test_a_lookup_is_set_read_and_removed(self, crm):
        account, contact = crm.create("accounts", name="Contoso"), crm.create("contacts", lastname="Doe")
        url = f"http://crm.example/api/data/v9.2/contacts({contact})"
        reference = f"accounts({account})/primarycontactid/$ref"
        assert crm.send("PUT", reference, {"@odata.id": url}).status == 204
        assert crm.get(reference)["@odata.id"] == url
        assert crm.delete(reference).status == 204
        assert crm.send("GET", reference).status == 204


class TestManyRows:
    PATH = "accounts/Microsoft.Dynamics.CRM."
    TYPE = "Microsoft.Dynamics.CRM.account"

    def test_create_multiple_answers_the_ids_in_order(self, crm):
        names = ["A", "B", "C"]
        body = {"Targets": [{"@odata.type": self.TYPE, "name": name} for name in names]}
        ids = crm.post(f"{self.PATH}CreateMultiple", body).json()["Ids"]
        assert [crm.get(f"accounts({id})")["name"] for id in ids] == names

    @pytest.mark.behaviour("Web API", "UpdateMultiple as an action updates all or none", "bulk-operations")
    def test_update_multiple_updates_all_or_none(self, crm):
        account = crm.create("accounts", name="A")
        targets = [{"accountid": account, "name": "B"}, {"accountid": MISSING, "name": "B"}]
        assert crm.post(f"{self.PATH}UpdateMultiple", {"Targets": targets}).status == 404
        assert crm.get(f"accounts({account})")["name"] == "A"
        assert crm.post(f"{self.PATH}UpdateMultiple", {"Targets": targets[:1]}).status == 204
        assert crm.get(f"accounts({account})")["name"] == "B"

    def test_upsert_multiple_finds_rows_by_their_odata_id(self, crm):
        crm.patch(KEY, {"new_amount": 1})
        targets = [{"@odata.id": f"new_payments(new_stripepaymentintentid='pi_{n}')", "new_amount": 7} for n in (1, 2)]
        assert crm.post("new_payments/Microsoft.Dynamics.CRM.UpsertMultiple", {"Targets": targets}).status == 204
        rows = crm.get("new_payments?$orderby=new_stripepaymentintentid")["value"]
        assert [(row["new_stripepaymentintentid"], row["new_amount"]) for row in rows] == [("pi_1", 7), ("pi_2", 7)]

    def test_delete_multiple_is_refused_as_for_every_standard_table(self, crm, error_of):
        assert error_of(crm.post(f"{self.PATH}DeleteMultiple", {"Targets": []}))[:2] == (405, "0x80040315")


def test_who_am_i_tells_whom_the_request_is_made_as(crm, emulator):
    assert crm.get("WhoAmI")["UserId"] == emulator.administrator_id
    assert crm.get("WhoAmI()", MSCRMCallerID=INTEGRATION_USER_ID)["UserId"] == INTEGRATION_USER_ID


@pytest.mark.behaviour(
    "Web API", "MSCRMCallerID makes the request as another user", "webapi/impersonate-another-user-web-api"
)
def test_a_row_belongs_to_the_user_it_is_created_as(crm):
    response = crm.post("accounts", {"name": "A"}, Prefer="return=representation", MSCRMCallerID=INTEGRATION_USER_ID)
    assert response.json()["_createdby_value"] == INTEGRATION_USER_ID


@pytest.mark.behaviour(
    "Web API",
    "Rows tell by createdonbehalfby and modifiedonbehalfby who impersonated",
    "webapi/impersonate-another-user-web-api",
)
def test_a_row_tells_who_really_wrote_it(crm, emulator):
    query = "$expand=createdby($select=fullname),createdonbehalfby($select=fullname)"
    account = crm.create("accounts", name="Mine")
    assert crm.get(f"accounts({account})?{query}")["createdonbehalfby"] is None

    created = crm.post(
        f"accounts?{query}", {"name": "A"}, Prefer="return=representation", MSCRMCallerID=INTEGRATION_USER_ID
    )
    row = created.json()
    assert row["createdby"]["systemuserid"] == INTEGRATION_USER_ID
    assert row["createdonbehalfby"]["systemuserid"] == row["_modifiedonbehalfby_value"] == emulator.administrator_id
    crm.patch(f"accounts({row['accountid']})", {"name": "B"})
    assert crm.get(f"accounts({row['accountid']})")["_modifiedonbehalfby_value"] is None


def test_a_step_knows_who_really_called(crm, emulator):
    crm.post("accounts", {"name": "A"}, MSCRMCallerID=INTEGRATION_USER_ID)
    seen = []

    class Look(Plugin):
        def execute(self, context):
            seen.append((context.initiating_user_id, context.authenticated_user_id))

    emulator.register(Step(plugin=Look(), message="Create", entity="account", stage=40))
    crm.post("accounts", {"name": "A"}, MSCRMCallerID=INTEGRATION_USER_ID)
    assert seen == [(INTEGRATION_USER_ID, emulator.administrator_id)]


@pytest.mark.behaviour(
    "Web API",
    "CallerObjectId makes the request as the user with that Entra object id",
    "webapi/impersonate-another-user-web-api",
)
def test_a_caller_is_known_by_an_entra_object_id(crm):
    object_id = "aaaaaaaa-0000-0000-0000-000000000001"
    user = crm.create("systemusers", firstname="Nancy", azureactivedirectoryobjectid=object_id)
    assert crm.get("WhoAmI", CallerObjectId=object_id)["UserId"] == user


@pytest.fixture
def heard(emulator):
    """The contexts of steps before and after a Create, in the order they run."""
    contexts = []

    class Look(Plugin):
        def execute(self, context):
            contexts.append(context)

    for stage in (10, 40):
        emulator.register(Step(plugin=Look(), message="Create", entity="account", stage=stage))
    return contexts


@pytest.mark.behaviour("Web API", "The User-Agent header is the context's InitiatingUserAgent", "observed")
def test_a_step_knows_the_calling_program(crm, heard):
    crm.post("accounts", {"name": "A"}, User_Agent="Loader/1.0")
    assert [context.initiating_user_agent for context in heard] == ["Loader/1.0"] * 2
    assert {context.authenticated_user_id for context in heard} == {heard[0].initiating_user_id}


@pytest.mark.behaviour(
    "Web API", "MSCRM.SuppressDuplicateDetection is the request's parameter of that name", "optional-parameters"
)
@pytest.mark.parametrize(("said", "meant"), [("false", False), ("true", True)])
def test_a_step_knows_whether_duplicates_are_looked_for(crm, heard, said, meant):
    crm.send("POST", "accounts", {"name": "A"}, **{"MSCRM.SuppressDuplicateDetection": said})
    before, after = heard
    assert before.input_parameters["SuppressDuplicateDetection"] is meant
    assert after.parent_context.input_parameters["SuppressDuplicateDetection"] is meant


@pytest.mark.behaviour("Web API", "The query parameter tag becomes the shared variable `tag`", "optional-parameters")
def test_a_request_can_be_tagged(crm, emulator):
    seen = []

    class Look(Plugin):
        def execute(self, context):
            seen.append(context.shared_variables)

    emulator.register(Step(plugin=Look(), message="Create", entity="account", stage=20))
    assert crm.post("accounts?tag=import", {"name": "A"}).status == 204
    assert seen == [{"tag": "import"}]


def test_every_answer_says_which_request_it_answers(crm):
    response = crm.send("GET", "nowhere", x_ms_client_request_id="6F1B8C1E-7A54-4D59-9F0C-2D1F4C1A7B11")
    assert response.headers["x-ms-client-request-id"] == "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
    assert response.headers["REQ_ID"] == response.headers["x-ms-service-request-id"]
    assert response.headers["OData-Version"] == "4.0"


def test_currencies_are_there_from_the_first_moment(crm):
    assert crm.get(f"transactioncurrencies({currency_id('JPY')})")["currencyprecision"] == 0


@pytest.mark.parametrize(
    "options", ["$select=nonsense", "$expand=nonsense", "$expand=primarycontactid($select=nonsense)"]
)
def test_nothing_is_written_when_the_row_cannot_be_returned(crm, options):
    account = crm.create("accounts", name="Contoso")
    representation = {"Prefer": "return=representation"}
    assert crm.post(f"accounts?{options}", {"name": "Fabrikam"}, **representation).status == 400
    assert crm.patch(f"accounts({account})?{options}", {"name": "Fabrikam"}, **representation).status == 400
    assert [row["name"] for row in crm.get("accounts")["value"]] == ["Contoso"]
