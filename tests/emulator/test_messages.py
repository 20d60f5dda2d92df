"""What each message of the organization service does."""

from __future__ import annotations

import pytest
from emulator_samples import account, refuse

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    FetchExpression,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
    new_guid,
)
from runner.emulator.errors import (
    ConcurrencyVersionMismatch,
    InvalidArgument,
    MethodNotSupported,
    NotSupported,
    RecordNotFoundByEntityKey,
)
from runner.emulator.plugin_faults import ConcurrencyVersionNotProvided, IsvAborted
from runner.emulator.seed import INTEGRATION_USER_ID, SYSTEM_USER_ID
from runner.execution.step import Image, StepError

KEY = {"new_stripepaymentintentid": "pi_1"}
NOBODYS = EntityReference("transactioncurrency", new_guid())
STATELESS = EntityReference("systemuser", INTEGRATION_USER_ID)
ACCOUNTS_CONTACT = "account_primary_contact"
ORDERS_PAYMENTS = "new_payment_SalesOrderId_salesorder"


@pytest.fixture
def ran(on):
    labels = []

    def register(message, entity="account"):
        on(message, 20, entity=entity)(lambda context: labels.append(context.message_name))
        return labels

    return register


# --- one row --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Messages", "Create keeps the id the caller chose and answers it as `id`", "observed")
def test_create_answers_the_id_it_was_given(service):
    id = "33333333-3333-3333-3333-333333333333"
    assert service.create(account(id=id)) == id


@pytest.mark.behaviour("Messages", "Update finds its row by alternate key", "define-alternate-keys-entity")
def test_update_finds_its_row_by_alternate_key(service):
    id = service.create(Entity("new_payment", None, KEY))
    service.update(Entity("new_payment", None, {"new_name": "Found"}, key_attributes=KEY))
    assert service.retrieve("new_payment", id)["new_name"] == "Found"


@pytest.mark.behaviour("Messages", "An alternate key that finds no row is refused with 0x80060891", "common")
def test_an_alternate_key_that_finds_nothing_is_said_so(service):
    with pytest.raises(RecordNotFoundByEntityKey):
        service.update(Entity("new_payment", None, {"new_name": "Found"}, key_attributes=KEY))


def test_update_without_an_id_is_refused(service):
    with pytest.raises(InvalidArgument, match="its id is missing"):
        service.update(account())


@pytest.mark.behaviour("Messages", "Retrieve finds its row by alternate key", "define-alternate-keys-entity")
def test_retrieve_by_alternate_key(service, send):
    id = service.create(Entity("new_payment", None, KEY))
    reference = EntityReference("new_payment", key_attributes=KEY)
    assert send("Retrieve", Target=reference, ColumnSet=())["BusinessEntity"].id == id


@pytest.mark.behaviour(
    "Messages",
    "Update and Delete with IfRowVersionMatches refuse a row changed meanwhile, 0x80060882",
    "optimistic-concurrency",
)
@pytest.mark.parametrize("message", ["Update", "Delete"])
def test_a_row_changed_since_it_was_read_is_not_written(service, send, message):
    id = service.create(account())
    row = service.retrieve("account", id)
    service.update(account("Changed", id))
    target = Entity("account", id, {"name": "Mine"}, row_version=row.row_version)
    if message == "Delete":
        target = target.to_entity_reference()
    with pytest.raises(ConcurrencyVersionMismatch):
        send(message, Target=target, ConcurrencyBehavior="IfRowVersionMatches")


@pytest.mark.behaviour(
    "Messages", "Update with IfRowVersionMatches takes the version that was read last", "optimistic-concurrency"
)
def test_a_row_read_last_is_written(service, send):
    id = service.create(account())
    version = service.retrieve("account", id).row_version
    target = Entity("account", id, {"name": "Mine"}, row_version=version)
    send("Update", Target=target, ConcurrencyBehavior="IfRowVersionMatches")
    assert service.retrieve("account", id)["name"] == "Mine"


@pytest.mark.behaviour(
    "Messages", "IfRowVersionMatches without a RowVersion is refused with 0x80060883", "optimistic-concurrency"
)
def test_a_condition_without_a_version_is_refused(service, send):
    id = service.create(account())
    with pytest.raises(ConcurrencyVersionNotProvided):
        send("Update", Target=account("Mine", id), ConcurrencyBehavior="IfRowVersionMatches")


@pytest.mark.behaviour("Messages", "An id means the same row however it is spelled", "common")
@pytest.mark.parametrize("spelled", [str.upper, "{{{}}}".format], ids=["upper case", "braces"])
def test_an_id_may_be_spelled_in_any_way(service, spelled):
    id = service.create(account(id="aaaaaaaa-0000-0000-0000-000000000001"))
    service.update(account("Other", spelled(id)))
    assert service.retrieve("account", spelled(id))["name"] == "Other"
    lookup = EntityReference("account", spelled(id))
    person = service.create(Entity("contact", None, {"parentcustomerid": lookup}))
    assert service.retrieve("contact", person)["parentcustomerid"] == EntityReference("account", id)
    service.update(Entity("contact", person, {"parentcustomerid": None}))
    service.delete("account", spelled(id))


@pytest.mark.parametrize("message", ["Update", "Upsert", "Delete", "Retrieve"])
def test_an_id_that_is_no_guid_is_refused(send, message):
    target = account(id="nonsense")
    with pytest.raises(InvalidArgument, match="'nonsense' is not a GUID"):
        send(message, Target=target if message.startswith("Up") else target.to_entity_reference())


def test_rows_are_associated_by_alternate_key(service, send):
    order = service.create(Entity("salesorder", None, KEY))
    payment = service.create(Entity("new_payment", None, {"new_stripepaymentintentid": "pi_2"}))
    by_key = EntityReference("new_payment", key_attributes={"new_stripepaymentintentid": "pi_2"})
    reference = EntityReference("salesorder", key_attributes=KEY)
    send("Associate", Target=reference, Relationship=ORDERS_PAYMENTS, RelatedEntities=(by_key,))
    assert service.retrieve("new_payment", payment)["new_salesorderid"].id == order


@pytest.mark.behaviour("Messages", "A lookup may name its row by alternate key", "use-alternate-key-reference-record")
@pytest.mark.parametrize("message", ["Create", "Update", "CreateMultiple", "UpdateMultiple"])
def test_a_lookup_may_name_its_row_by_alternate_key(service, send, message):
    order = service.create(Entity("salesorder", None, KEY))
    id = service.create(Entity("new_payment")) if "Update" in message else new_guid()
    target = Entity("new_payment", id, {"new_salesorderid": EntityReference("salesorder", key_attributes=KEY)})
    send(message, **({"Targets": EntityCollection([target])} if "Multiple" in message else {"Target": target}))
    assert service.retrieve("new_payment", id)["new_salesorderid"].id == order


def test_a_lookup_by_a_key_nobody_has_is_refused(service):
    lookup = EntityReference("salesorder", key_attributes=KEY)
    with pytest.raises(RecordNotFoundByEntityKey):
        service.create(Entity("new_payment", None, {"new_salesorderid": lookup}))


# --- rows that come with a row --------------------------------------------------------------------------------


def with_related(row, relationship, *related):
    row.related_entities[relationship] = EntityCollection(list(related))
    return row


@pytest.mark.behaviour(
    "Messages",
    "Create creates the RelatedEntities of Target too, each with its own Create steps",
    "org-service/entity-operations-create",
)
def test_related_rows_are_created_with_their_row(service, on, names):
    seen = []
    on("Create", 20, entity="contact")(lambda context: seen.append(context.target["parentcustomerid"].id))
    nancy, sven = (Entity("contact", None, {"lastname": name}) for name in ("Nancy", "Sven"))
    id = service.create(with_related(account(), "contact_customer_accounts", nancy, sven))
    assert names("contact", "lastname") == ["Nancy", "Sven"]
    assert seen == [id, id]


def test_a_related_row_may_be_one_the_row_refers_to(service):
    contact = Entity("contact", None, {"lastname": "Nancy"})
    id = service.create(with_related(account(), ACCOUNTS_CONTACT, contact))
    assert service.retrieve("account", id)["primarycontactid"].name == "Nancy"


def test_a_row_refers_to_one_related_row_only(service, names):
    contacts = (Entity("contact", None, {"lastname": name}) for name in ("Nancy", "Sven"))
    with pytest.raises(InvalidArgument, match="has one row of 'account_primary_contact', not 2"):
        service.create(with_related(account(), ACCOUNTS_CONTACT, *contacts))
    assert names() == []


def test_related_rows_may_be_linked_many_to_many(service):
    user = Entity("systemuser", None, {"firstname": "Nancy"})
    service.create(with_related(Entity("team", None, {"name": "Sales"}), "teammembership_association", user))
    assert len(service.retrieve_multiple(QueryExpression.of("teammembership"))) == 1


@pytest.mark.behaviour(
    "Messages",
    "Update updates the RelatedEntities of Target too, after it, each with its own Update steps",
    "org-service/entity-operations-update-delete",
)
@pytest.mark.parametrize("message", ["Update", "UpdateMultiple", "Upsert"])
def test_related_rows_are_updated_with_their_row(service, send, on, message):
    seen = []
    on("Update", 40)(lambda context: seen.append("account"))
    on("Update", 40, entity="contact")(lambda context: seen.append("contact"))
    nancy = service.create(Entity("contact", None, {"lastname": "Nancy"}))
    id = service.create(account(primarycontactid=EntityReference("contact", nancy)))
    changed = with_related(account("Fabrikam", id), ACCOUNTS_CONTACT, Entity("contact", nancy, {"lastname": "Sven"}))
    send(message, **({"Targets": EntityCollection([changed])} if "Multiple" in message else {"Target": changed}))
    assert service.retrieve("contact", nancy)["lastname"] == "Sven"
    assert seen == ["contact", "account"]


@pytest.mark.parametrize(
    ("relationship", "related", "said"),
    [
        ("account_parent_account", account("Daughter"), "its id is missing"),
        ("account_parent_account", Entity("contact", new_guid()), "No relationship"),
        ("no_such_relationship", account(id=new_guid()), "No relationship 'no_such_relationship'"),
    ],
    ids=["no id", "no relation of its table", "no relationship"],
)
def test_a_related_row_that_cannot_be_updated_undoes_the_whole(service, names, relationship, related, said):
    id = service.create(account())
    with pytest.raises(InvalidArgument, match=said):
        service.update(with_related(account("Fabrikam", id), relationship, related))
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Transactions", "One bad row of RelatedEntities undoes the whole Create", "org-service/entity-operations-create"
)
def test_a_related_row_that_cannot_be_undoes_the_whole(service, names):
    bad = Entity("contact", None, {"no_such_column": 1})
    with pytest.raises(InvalidArgument, match="no_such_column"):
        service.create(with_related(account(), "contact_customer_accounts", bad))
    assert names() == []


# --- Upsert ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Messages",
    "Upsert of a row that is not there copies the key columns into Target and raises Create, not Upsert",
    "use-upsert-insert-update-record",
)
def test_upsert_creates_what_is_not_there(service, send, ran):
    labels = ran("Create", "new_payment")
    target = Entity("new_payment", None, {"new_name": "New"}, key_attributes=KEY)
    results = send("Upsert", Target=target)
    row = service.retrieve("new_payment", results["Target"].id)
    assert results["RecordCreated"] is True
    assert (row["new_name"], row["new_stripepaymentintentid"]) == ("New", "pi_1")
    assert labels == ["Create"]


@pytest.mark.behaviour(
    "Messages",
    "Upsert of a row that is there drops the key columns from Target and raises Update",
    "use-upsert-insert-update-record",
)
def test_upsert_updates_what_is_there_without_its_key(service, send, on):
    id = service.create(Entity("new_payment", None, KEY))
    seen = []
    on("Update", 20, entity="new_payment")(lambda context: seen.append(set(context.target.keys())))
    target = Entity("new_payment", None, {"new_name": "Same", **KEY}, key_attributes=KEY)
    assert send("Upsert", Target=target) == {"RecordCreated": False, "Target": EntityReference("new_payment", id)}
    assert seen == [{"new_paymentid", "new_name"}]


@pytest.mark.behaviour("Messages", "No step runs on Upsert itself", "common")
def test_no_step_runs_on_upsert(on):
    with pytest.raises(StepError, match="Upsert runs no custom steps"):
        on("Upsert", 20)(lambda context: None)


@pytest.mark.behaviour(
    "Messages", "Upsert by an id nobody has creates the row with that id", "use-upsert-insert-update-record"
)
def test_upsert_by_an_id_nobody_has_creates_that_row(service, send):
    id = "33333333-3333-3333-3333-333333333333"
    assert send("Upsert", Target=account(id=id))["RecordCreated"] is True
    assert service.retrieve("account", id)["name"] == "Contoso"


@pytest.mark.behaviour(
    "Context",
    "The parent of the Create or Update an Upsert comes down to tells of the Upsert, at the same depth",
    "common",
)
def test_the_parent_of_what_upsert_does_is_the_upsert(send, on):
    seen = []
    on("Create", 20)(lambda context: seen.append((context.parent_context.message_name, context.depth)))
    send("Upsert", Target=account())
    assert seen == [("Upsert", 1)]


# --- specialized updates --------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Messages", "Assign changes the owner and raises Update too", "special-update-operation-behavior"
)
def test_assign_changes_the_owner_and_raises_update(service, send, ran):
    id = service.create(account())
    ran("Assign")
    labels = ran("Update")
    owner = EntityReference("systemuser", INTEGRATION_USER_ID)
    send("Assign", Target=EntityReference("account", id), Assignee=owner)
    assert service.retrieve("account", id)["ownerid"] == owner
    assert labels == ["Assign", "Update"]


@pytest.mark.behaviour(
    "Messages", "SetState and SetStateDynamicEntity change state and status reason, and raise Update", "observed"
)
@pytest.mark.parametrize("message", ["SetState", "SetStateDynamicEntity"])
def test_set_state_changes_both_codes_and_raises_update(service, send, ran, message):
    id = service.create(account())
    labels = ran("Update")
    send(message, EntityMoniker=EntityReference("account", id), State=1, Status=OptionSetValue(2))
    row = service.retrieve("account", id)
    assert (row["statecode"].value, row["statuscode"].value) == (1, 2)
    assert labels == ["Update"]


@pytest.mark.behaviour(
    "Messages", "SetState and SetStateDynamicEntity have steps of their own", "org-service/use-messages"
)
@pytest.mark.parametrize("message", ["SetState", "SetStateDynamicEntity"])
def test_set_state_runs_the_steps_of_its_own_message(service, send, on, message):
    seen = []
    for each in ("SetState", "SetStateDynamicEntity"):
        images = (Image("row", "both", ("statecode",)),)
        on(each, 40, images=images)(
            lambda context: seen.append((context.message_name, context.post_image("row")["statecode"].value))
        )
    id = service.create(account())
    send(message, EntityMoniker=EntityReference("account", id), State=OptionSetValue(1), Status=OptionSetValue(2))
    assert seen == [(message, 1)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select name from account", "'Query' is str; it takes a QueryExpression or FetchExpression"),
        (FetchExpression(None), "a FetchExpression holds FetchXML, not None"),
    ],
    ids=["text", "no text"],
)
def test_what_is_no_query_is_refused(send, query, said):
    with pytest.raises(InvalidArgument, match=said):
        send("RetrieveMultiple", Query=query)


@pytest.mark.parametrize("columns", [True, 5, [None], {"name": 1}], ids=["true", "a number", "nothing", "a mapping"])
def test_a_column_set_holds_names(service, send, columns):
    target = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'ColumnSet' takes the names of columns"):
        send("Retrieve", Target=target, ColumnSet=columns)


@pytest.mark.parametrize("related", [None, EntityReference("account"), [account()]], ids=["nothing", "one", "a row"])
def test_related_entities_are_several_references(service, send, related):
    target = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'RelatedEntities'"):
        send("Associate", Target=target, Relationship="account_parent_account", RelatedEntities=related)


def test_a_state_is_no_yes(service, send):
    moniker = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'State' is bool"):
        send("SetState", EntityMoniker=moniker, State=True, Status=OptionSetValue(2))


@pytest.mark.parametrize("spelled", [str.upper, "{{{}}}".format], ids=["upper case", "braces"])
def test_a_user_may_be_spelled_in_any_way(crm, spelled):
    who = crm.execute(OrganizationRequest("WhoAmI"), user_id=spelled(INTEGRATION_USER_ID))
    assert who.results["UserId"] == INTEGRATION_USER_ID


@pytest.mark.parametrize("message", ["Update", "Upsert"])
@pytest.mark.parametrize("id", [None, EMPTY_GUID], ids=["none", "empty"])
def test_the_id_may_be_in_its_column_alone(service, send, names, message, id):
    created = service.create(account(accountid=new_guid().upper(), id=id))
    send(message, Target=account("Fabrikam", id, accountid=created.upper()))
    assert names() == ["Fabrikam"]


def test_an_id_is_the_same_in_its_column_however_it_is_spelled(service, names):
    id = service.create(account())
    service.update(account("Fabrikam", id, accountid=f"{{{id.upper()}}}"))
    assert names() == ["Fabrikam"]


@pytest.mark.parametrize("message", ["Create", "CreateMultiple", "Update", "Upsert"])
def test_an_id_is_not_another_in_its_column(service, send, message):
    target = account(id=service.create(account()) if message == "Update" else None, accountid=new_guid())
    target.id = target.id or new_guid()
    with pytest.raises(InvalidArgument):
        send(message, **({"Targets": EntityCollection([target])} if "Multiple" in message else {"Target": target}))


@pytest.mark.behaviour(
    "Messages", "The primary key among the key attributes says which row it is", "use-alternate-key-create-record"
)
def test_the_primary_key_is_a_key(service, send, names):
    key = {"accountid": service.create(account()).upper()}
    service.update(Entity("account", None, {"name": "A"}, key_attributes=key))
    assert names() == ["A"]
    assert not send("Upsert", Target=Entity("account", None, {"name": "B"}, key_attributes=key))["RecordCreated"]
    row = send("Retrieve", Target=EntityReference("account", key_attributes=key), ColumnSet=("name",))
    assert row["BusinessEntity"]["name"] == "B"


def test_an_upsert_with_the_empty_id_creates(send):
    results = send("Upsert", Target=account(id=EMPTY_GUID))
    assert results["RecordCreated"]
    assert results["Target"].id != EMPTY_GUID


def test_a_misspelled_concurrency_behavior_overwrites_nothing(service, send, names):
    id = service.create(account())
    with pytest.raises(InvalidArgument, match="not 'IfRowVersionMatch'"):
        send("Update", Target=account("Fabrikam", id), ConcurrencyBehavior="IfRowVersionMatch")
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Messages",
    "Retrieve answers Entity, RetrieveMultiple EntityCollection: steps know them with Business before the name",
    "understand-the-data-context",
)
def test_a_response_has_its_names(service, send, on):
    seen = []
    for message in ("Retrieve", "RetrieveMultiple"):
        on(message, 40)(lambda context: seen.append(set(context.output_parameters)))
    id = service.create(account())
    row = send("Retrieve", Target=EntityReference("account", id), ColumnSet=("name",))["Entity"]
    (found,) = send("RetrieveMultiple", Query=QueryExpression.of("account", "name"))["EntityCollection"]
    assert (row["name"], found["name"]) == ("Contoso", "Contoso")
    assert seen == [{"BusinessEntity"}, {"BusinessEntityCollection"}]


def test_one_column_may_be_named_without_a_list(service):
    id = service.create(account())
    assert service.retrieve("account", id, "name")["name"] == "Contoso"


# --- relationships --------------------------------------------------------------------------------------------


@pytest.fixture
def pair(service):
    """An account and a contact."""
    person = service.create(Entity("contact", None, {"lastname": "Nancy"}))
    return EntityReference("account", service.create(account())), EntityReference("contact", person)


@pytest.mark.behaviour("Messages", "Steps of Associate and Disassociate are registered without a table", "common")
@pytest.mark.parametrize("message", ["Associate", "Disassociate"])
def test_association_raises_its_steps_without_a_table(send, on, pair, message):
    seen = []
    on(message, 20, entity=None)(lambda context: seen.append((context.primary_entity_name, context.input_parameters)))
    company, person = pair
    parameters = {"Target": person, "Relationship": ACCOUNTS_CONTACT, "RelatedEntities": (company,)}
    send(message, **parameters)
    assert seen == [("none", parameters)]


@pytest.mark.behaviour("Messages", "What Associate changes is changed by the caller", "common")
def test_association_is_the_callers_doing(crm, service, pair):
    company, person = pair
    parameters = {"Target": person, "Relationship": ACCOUNTS_CONTACT, "RelatedEntities": (company,)}
    crm.execute(OrganizationRequest("Associate", parameters), user_id=INTEGRATION_USER_ID)
    assert service.retrieve("account", company.id)["modifiedby"].id == INTEGRATION_USER_ID


@pytest.fixture
def employed(service, pair):
    """The contact is the account's."""
    company, person = pair
    service.update(Entity("contact", person.id, {"parentcustomerid": company}))
    return pair


@pytest.mark.behaviour("Messages", "Rows that a deletion takes along run their own Delete steps", "common")
def test_rows_taken_along_run_their_delete_steps(send, ran, employed):
    ran("Delete")
    labels = ran("Delete", "contact")
    send("Delete", Target=employed[0])
    assert labels == ["Delete", "Delete"]


@pytest.mark.behaviour(
    "Transactions", "A Delete step of a row taken along that throws undoes the deletion", "event-framework"
)
def test_a_row_that_must_stay_keeps_the_row_it_refers_to(service, send, on, employed):
    on("Delete", 40, entity="contact")(refuse)
    with pytest.raises(IsvAborted):
        send("Delete", Target=employed[0])
    assert service.retrieve("contact", employed[1].id)["parentcustomerid"] == employed[0]


# --- others ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Messages", "WhoAmI answers user, business unit and organization", "org-service/use-messages")
def test_who_am_i(crm, send):
    assert send("WhoAmI") == {
        "UserId": crm.administrator_id,
        "BusinessUnitId": crm.organization.business_unit_id,
        "OrganizationId": crm.organization.organization_id,
    }


def test_an_unknown_message_is_refused(send):
    with pytest.raises(NotSupported, match="'Frobnicate'"):
        send("Frobnicate")


def test_a_missing_parameter_is_named(send):
    with pytest.raises(InvalidArgument, match="'Target' is missing; it takes Entity"):
        send("Create")


def test_messages_are_understood_whatever_their_case(send):
    assert send("create", Target=account())["id"]


def test_a_query_expression_is_answered(service, send):
    service.create(account())
    rows = send("RetrieveMultiple", Query=QueryExpression.of("account", "name"))["BusinessEntityCollection"]
    assert [row["name"] for row in rows] == ["Contoso"]


@pytest.mark.behaviour(
    "Messages", "SetState with the status -1 takes the state's default status reason", "org-service/use-messages"
)
def test_a_status_of_minus_one_is_the_default(service, send):
    id = service.create(account())
    send("SetState", EntityMoniker=EntityReference("account", id), State=OptionSetValue(1), Status=OptionSetValue(-1))
    assert service.retrieve("account", id)["statuscode"] == OptionSetValue(2)


@pytest.mark.behaviour("Messages", "Create with the empty id makes an id", "org-service/entity-operations-create")
def test_the_empty_id_is_none(service):
    assert service.create(Entity("account", EMPTY_GUID, {"name": "Contoso"})) != EMPTY_GUID


@pytest.mark.behaviour(
    "Messages",
    "Tables only the platform writes refuse Create and Update with 0x80040800",
    "reference/entities/plugintracelog",
)
@pytest.mark.parametrize("table", ["plugintracelog", "sdkmessage", "sdkmessagefilter"])
def test_what_only_the_platform_writes(service, table):
    for write in (service.create, service.update):
        with pytest.raises(MethodNotSupported, match=table):
            write(Entity(table, new_guid(), {}))


@pytest.mark.behaviour(
    "Messages",
    "Rows of intersect tables come and go by Associate and Disassociate: Create, Update and Delete answer 0x80040800",
    "common",
)
def test_links_are_not_rows_to_write(service):
    for write in (service.create, service.update):
        with pytest.raises(MethodNotSupported, match="teammembership"):
            write(Entity("teammembership", new_guid(), {}))
    with pytest.raises(MethodNotSupported, match="'Delete'.*'teammembership'"):  # noqa: RUF043
        service.delete("teammembership", new_guid())


@pytest.mark.behaviour(
    "Messages", "Assign of a table without owners, SetState of one without states are refused with 0x80040800", "common"
)
@pytest.mark.parametrize(
    ("message", "parameters"),
    [
        ("Assign", {"Target": NOBODYS, "Assignee": EntityReference("systemuser", INTEGRATION_USER_ID)}),
        ("SetState", {"EntityMoniker": STATELESS, "State": OptionSetValue(1), "Status": OptionSetValue(2)}),
        (
            "SetStateDynamicEntity",
            {"EntityMoniker": STATELESS, "State": OptionSetValue(1), "Status": OptionSetValue(2)},
        ),
    ],
    ids=["Assign", "SetState", "SetStateDynamicEntity"],
)
def test_a_message_is_for_tables_that_have_what_it_changes(send, message, parameters):
    with pytest.raises(MethodNotSupported, match=f"The '{message}' method does not support entities of type"):
        send(message, **parameters)


@pytest.mark.parametrize("table", ["sdkmessage", "sdkmessagefilter"])
def test_what_only_the_platform_deletes(service, table):
    row = service.retrieve_multiple(QueryExpression.of(table))[0]
    with pytest.raises(MethodNotSupported):
        service.delete(table, row.id)


@pytest.mark.parametrize("message", ["Create", "Delete"])
def test_there_is_one_organization(service, send, message):
    (organization,) = service.retrieve_multiple(QueryExpression.of("organization"))
    target = Entity("organization") if message == "Create" else organization.to_entity_reference()
    with pytest.raises(MethodNotSupported):
        send(message, Target=target)


def test_a_version_may_be_the_number_in_its_column(service, send, names):
    id = service.create(account())
    row = account("Fabrikam", id)
    row.row_version = service.retrieve("account", id, ["versionnumber"])["versionnumber"]
    send("Update", Target=row, ConcurrencyBehavior="IfRowVersionMatches")
    assert names() == ["Fabrikam"]


def test_a_condition_may_be_the_enumerations_number(service, send):
    id = service.create(account())
    stale = Entity("account", id, {"name": "New"}, row_version="1")
    with pytest.raises(ConcurrencyVersionMismatch):
        send("Update", Target=stale, ConcurrencyBehavior=1)


INTEGRATION_USER = EntityReference("systemuser", INTEGRATION_USER_ID)


@pytest.mark.behaviour(
    "Messages",
    "Assign cascades: contacts follow the account or contact they belong to, with Assign steps of their own",
    "configure-entity-relationship-cascading-behavior",
)
def test_contacts_go_to_the_new_owner_with_their_account(service, on, send):
    company = EntityReference("account", service.create(account()))
    first = EntityReference("contact", service.create(Entity("contact", None, {"parentcustomerid": company})))
    second = service.create(Entity("contact", None, {"parentcustomerid": first}))
    assigned = []
    on("Assign", 40, entity="contact")(lambda context: assigned.append(context.primary_entity_id))
    send("Assign", Target=company, Assignee=INTEGRATION_USER)
    assert sorted(assigned) == sorted([first.id, second])
    assert service.retrieve("contact", second)["ownerid"] == INTEGRATION_USER


def test_contacts_stay_when_their_account_does(service):
    company = service.create(account())
    parent = EntityReference("account", company)
    contact = service.create(Entity("contact", None, {"parentcustomerid": parent, "ownerid": INTEGRATION_USER}))
    owner = service.retrieve("account", company)["ownerid"]
    service.update(Entity("account", company, {"ownerid": owner, "name": "New"}))
    assert service.retrieve("contact", contact)["ownerid"] == INTEGRATION_USER


def test_a_contact_that_may_not_go_keeps_its_account(service, on):
    company = service.create(account())
    service.create(Entity("contact", None, {"parentcustomerid": EntityReference("account", company)}))
    on("Assign", 20, entity="contact")(refuse)
    with pytest.raises(IsvAborted):
        service.update(Entity("account", company, {"ownerid": INTEGRATION_USER}))
    assert service.retrieve("account", company)["ownerid"] != INTEGRATION_USER


@pytest.mark.behaviour(
    "Messages",
    "Cascading Assign is all rows, those active, those of the same owner, or none",
    "configure-entity-relationship-cascading-behavior",
)
@pytest.mark.parametrize(
    ("cascade", "moved"),
    [
        ("Cascade", ["active", "inactive", "another's"]),
        ("Active", ["active", "another's"]),
        ("UserOwned", ["active", "inactive"]),
        ("NoCascade", []),
    ],
)
def test_who_follows_is_the_relationships_to_say(crm, service, cascade, moved):
    with crm.customizing() as customizations:
        customizations.update_column("contact", "parentcustomerid", {"cascade_assign": cascade})
    company = service.create(account())
    rows = {
        "active": {},
        "inactive": {"statecode": OptionSetValue(1)},
        "another's": {"ownerid": EntityReference("systemuser", SYSTEM_USER_ID)},
    }
    for name, columns in rows.items():
        parent = {"parentcustomerid": EntityReference("account", company)}
        service.create(Entity("contact", None, {"lastname": name, **parent, **columns}))
    service.update(Entity("account", company, {"ownerid": INTEGRATION_USER}))
    found = service.retrieve_multiple(QueryExpression.of("contact", "lastname", where={"ownerid": INTEGRATION_USER}))
    assert [row["lastname"] for row in found] == moved
