"""What is written to the registration tables takes effect, and only what can run is written there."""

from __future__ import annotations

import pytest

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, EntityReference, OptionSetValue, QueryExpression
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.emulator.registration.sdk_messages import filter_id, message_id
from runner.execution.step import Image, Step
from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext

STAMPED = "stamped"


class Stamp(Plugin):
    """Writes into the description what it was configured with."""

    def execute(self, context: PluginContext) -> None:
        if isinstance(self.configuration, str):
            context.target["description"] = f"{self.configuration}, {self.secure_configuration}"
        else:
            context.target["description"] = self.configuration.get("text", STAMPED)


class Refuse(Plugin):
    def execute(self, context: PluginContext) -> None:
        raise InvalidPluginExecutionException("No.")


STAMP = Step(plugin=Stamp(), message="Create", entity="account", stage=20, name="Stamp", images=())


@pytest.fixture
def crm(clock):
    with Emulator([STAMP], clock=clock) as emulator:
        yield emulator


@pytest.fixture
def stamp(service):
    """The description a new account has."""

    def made():
        id = service.create(Entity("account", attributes={"name": "A"}))
        return service.retrieve("account", id, ["description"]).get("description")

    return made


@pytest.fixture
def stamp_type(web):
    return web.get("plugintypes?$select=plugintypeid&$filter=endswith(typename,':Stamp')")["value"][0]["plugintypeid"]


# --- what there is --------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Registration", "The ids of messages are those of every environment", "observed")
def test_the_ids_of_messages_are_those_of_every_environment(web):
    found = web.get("sdkmessages?$select=sdkmessageid&$filter=name eq 'Create'")["value"]
    assert [row["sdkmessageid"] for row in found] == ["9ebdbb1b-ea3e-db11-86a7-000a3a5473e8"]


@pytest.mark.behaviour("Registration", "sdkmessagefilters are found by table and message name", "observed")
def test_a_filter_is_found_as_clients_look_for_it(web):
    query = "$filter=primaryobjecttypecode eq 'account' and sdkmessageid/name eq 'Create'"
    options = "iscustomprocessingstepallowed eq true and isvisible eq true"
    (row,) = web.get(f"sdkmessagefilters?$select=sdkmessagefilterid,_sdkmessageid_value&{query} and {options}")["value"]
    assert row["sdkmessagefilterid"] == "c2c5bb1b-ea3e-db11-86a7-000a3a5473e8"
    assert row["_sdkmessageid_value"] == "9ebdbb1b-ea3e-db11-86a7-000a3a5473e8"


def test_only_tables_with_an_owner_can_be_assigned(web):
    found = web.get("sdkmessagefilters?$filter=sdkmessageid/name eq 'Assign'&$select=primaryobjecttypecode")["value"]
    tables = {row["primaryobjecttypecode"] for row in found}
    assert "account" in tables
    assert "transactioncurrency" not in tables


def test_a_table_made_later_has_filters_while_it_is_there(crm, web):
    def filters():
        return web.get("sdkmessagefilters?$filter=primaryobjecttypecode eq 'new_thing'&$select=isvisible")["value"]

    with crm.customizing() as customizations:
        table = {"logical_name": "new_thing", "schema_name": "new_Thing", "entity_set_name": "new_things"}
        columns = {"new_name": {"type": "String", "max_length": 100}}
        customizations.create_table(
            {**table, "display_name": "Thing", "primary_name": "new_name", "is_custom": True, "columns": columns}
        )
    assert filters()
    with crm.customizing() as customizations:
        customizations.delete_table("new_thing")
    assert not filters()


def test_steps_given_to_the_emulator_are_listed_with_type_and_images(crm, web):
    images = (Image("before", "pre", ("name",)), Image("all", "both"))
    crm.register(Step(plugin=Stamp(), message="Update", entity="account", stage=40, name="Look", images=images))
    select = "$select=name,stage,mode,rank,ismanaged&$expand=sdkmessageid($select=name),plugintypeid($select=typename)"
    (row,) = web.get(f"sdkmessageprocessingsteps?{select}&$filter=name eq 'Look'")["value"]
    assert (row["stage"], row["mode"], row["rank"], row["ismanaged"]) == (40, 0, 1, True)
    assert row["sdkmessageid"]["name"] == "Update"
    assert row["plugintypeid"]["typename"].endswith(":Stamp")
    listed = web.get("sdkmessageprocessingstepimages?$select=entityalias,imagetype,attributes&$orderby=entityalias")
    assert [(row["entityalias"], row["imagetype"], row["attributes"]) for row in listed["value"]] == [
        ("all", 2, None),
        ("before", 0, "name"),
    ]


def test_two_steps_that_are_alike_both_run(crm, service):
    ran = []

    class Count(Plugin):
        def execute(self, context):
            ran.append(context.owning_extension.id)

    for _ in range(2):
        crm.register(Step(plugin=Count(), message="Create", entity="account", stage=20))
    service.create(Entity("account", attributes={"name": "A"}))
    assert len(set(ran)) == 2


# --- what takes effect ----------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Registration", "A step row is disabled and enabled by its state", "reference/entities/sdkmessageprocessingstep"
)
def test_a_step_can_be_disabled_and_enabled(web, stamp):
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", statecode=1)
    assert stamp() is None
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", statecode=0)
    assert stamp() == STAMPED


@pytest.mark.behaviour(
    "Registration",
    "A managed property is an object, and filtered by its Value: iscustomizable/Value eq true",
    "reference/entities/sdkmessageprocessingstep",
)
def test_custom_steps_are_listed_as_microsoft_lists_them(web):
    custom = "$filter=customizationlevel eq 1 and iscustomizable/Value eq true and ishidden/Value eq false"
    (step,) = web.get(f"sdkmessageprocessingsteps?$select=name,iscustomizable&{custom}")["value"]
    assert step["name"] == "Stamp"
    assert step["iscustomizable"] == {
        "Value": True,
        "CanBeChanged": True,
        "ManagedPropertyLogicalName": "iscustomizableanddeletable",
    }


def test_a_managed_property_is_written_as_it_is_read(web):
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", iscustomizable={"Value": False})
    assert not web.get(f"sdkmessageprocessingsteps({STAMP.id})?$select=iscustomizable")["iscustomizable"]["Value"]
    assert not web.get("sdkmessageprocessingsteps?$filter=iscustomizable/Value eq true")["value"]


@pytest.mark.behaviour("Registration", "A deleted step runs no more", "reference/entities/sdkmessageprocessingstep")
def test_a_deleted_step_runs_no_more(web, stamp):
    web.delete(f"sdkmessageprocessingsteps({STAMP.id})")
    assert stamp() is None


def test_a_changed_step_keeps_its_plug_in(crm, web):
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", rank=7, stage=10)
    (step,) = crm.steps
    assert (step.rank, step.stage, step.plugin) == (7, 10, STAMP.plugin)


def test_a_step_that_was_not_touched_is_the_one_that_was_given(crm, service):
    service.create(Entity("account", attributes={"name": "A"}))
    assert crm.steps == (STAMP,)


def test_a_step_can_be_registered_for_a_known_plug_in_type(web, stamp, stamp_type):
    web.delete(f"sdkmessageprocessingsteps({STAMP.id})")
    web.register(plugin_type=stamp_type, stage=20, configuration='{"text": "by POST"}')
    assert stamp() == "by POST"


def test_a_plug_in_is_given_its_secure_configuration(web, service, stamp_type):
    secure = web.post("sdkmessageprocessingstepsecureconfigs", secureconfig="between us")
    bound = {"sdkmessageprocessingstepsecureconfigid@odata.bind": f"/sdkmessageprocessingstepsecureconfigs({secure})"}
    web.register("Update", plugin_type=stamp_type, stage=20, configuration="not JSON", **bound)
    id = service.create(Entity("account", attributes={"name": "A"}))
    service.update(Entity("account", id, {"name": "B"}))
    assert service.retrieve("account", id, ["description"])["description"] == "not JSON, between us"


def test_a_step_can_be_given_another_handler(web, webhook, receiver, service, stamp):
    bound = {"eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({webhook(receiver.url)})"}
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", **bound)
    assert stamp() is None
    assert len(receiver.heard) == 1


def test_a_step_for_outlook_alone_does_not_run_on_the_server(web, stamp):
    web.patch(f"sdkmessageprocessingsteps({STAMP.id})", supporteddeployment=1)
    assert stamp() is None


def test_a_secure_configuration_stays_on_the_server(web, stamp_type):
    secure = web.post("sdkmessageprocessingstepsecureconfigs", secureconfig="between us")
    bound = {"sdkmessageprocessingstepsecureconfigid@odata.bind": f"/sdkmessageprocessingstepsecureconfigs({secure})"}
    body = web.a_step(plugin_type=stamp_type, supporteddeployment=1, **bound)
    assert web.refusal("POST", "sdkmessageprocessingsteps", **body).code == 0x80044185


def test_a_new_image_is_passed_from_the_next_operation_on(crm, web, service):
    seen = []

    class Look(Plugin):
        def execute(self, context):
            seen.append(dict(context.pre_image("before").attributes))

    step = Step(plugin=Look(), message="Update", entity="account", stage=40)
    crm.register(step)
    image = {"name": "before", "entityalias": "before", "imagetype": 0, "messagepropertyname": "Target"}
    bound = {"sdkmessageprocessingstepid@odata.bind": f"/sdkmessageprocessingsteps({step.id})"}
    web.post("sdkmessageprocessingstepimages", **image, **bound, attributes="name")
    id = service.create(Entity("account", attributes={"name": "A"}))
    service.update(Entity("account", id, {"name": "B"}))
    assert seen == [{"name": "A"}]


@pytest.mark.behaviour(
    "Registration", "Images are deleted with their step", "reference/entities/sdkmessageprocessingstep"
)
def test_images_go_with_their_step(crm, web):
    step = Step(plugin=Stamp(), message="Update", entity="account", stage=20, images=(Image("before"),))
    crm.register(step)
    web.delete(f"sdkmessageprocessingsteps({step.id})")
    assert web.get("sdkmessageprocessingstepimages")["value"] == []


def test_filtering_attributes_count_at_once(crm, web, service):
    step = Step(plugin=Refuse(), message="Update", entity="account", stage=20)
    crm.register(step)
    web.patch(f"sdkmessageprocessingsteps({step.id})", filteringattributes="revenue,name")
    id = service.create(Entity("account", attributes={"name": "A"}))
    service.update(Entity("account", id, {"telephone1": "7"}))
    assert web.refusal("PATCH", f"accounts({id})", name="B").message == "No."


def test_a_registration_that_is_rolled_back_leaves_nothing(crm, web, service, stamp):
    def interrupted():
        with crm.transaction():
            service.delete("sdkmessageprocessingstep", STAMP.id)
            assert stamp() is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert stamp() == STAMPED
    assert crm.steps == (STAMP,)


def test_a_step_registered_by_the_client_takes_effect(crm, service, stamp, stamp_type):
    step = Entity("sdkmessageprocessingstep", attributes={"name": "by client", "stage": OptionSetValue(20)})
    step.update({"mode": OptionSetValue(0), "rank": 2, "configuration": '{"text": "by client"}'})
    step["eventhandler"] = EntityReference("plugintype", stamp_type)
    step["sdkmessageid"] = EntityReference("sdkmessage", message_id("Create"))
    step["sdkmessagefilterid"] = EntityReference("sdkmessagefilter", filter_id("Create", "account"))
    with client_of(crm) as client:
        id = client.create(step)
        assert client.retrieve("sdkmessageprocessingstep", id)["eventhandler"].logical_name == "plugintype"
    assert stamp() == "by client"


# --- what stays -----------------------------------------------------------------------------------------------


def test_what_was_registered_survives_a_restart_except_what_came_from_the_file(tmp_path, web):
    with Emulator([STAMP], database=tmp_path / "crm.db", clock=ManualClock()) as first:
        body = {"name": "a hook", "contract": 8, "authtype": 4, "authvalue": "s3cret-key", "url": "http://localhost/"}
        endpoint = Entity("serviceendpoint", attributes=body | {"contract": OptionSetValue(8)})
        endpoint["authtype"] = OptionSetValue(4)
        step = Entity("sdkmessageprocessingstep", attributes={"name": "kept", "stage": OptionSetValue(40)})
        step["eventhandler"] = EntityReference("serviceendpoint", first.service().create(endpoint))
        step["sdkmessageid"] = EntityReference("sdkmessage", message_id("Delete"))
        first.service().create(step)
        assert {step.name for step in first.steps} == {"Stamp", "kept"}
    with Emulator(database=tmp_path / "crm.db", clock=ManualClock()) as second:
        assert [step.name for step in second.steps] == ["kept"]


def test_a_snapshot_brings_back_the_registrations_of_its_time(crm, web, stamp):
    snapshot = crm.snapshot()
    web.delete(f"sdkmessageprocessingsteps({STAMP.id})")
    crm.register(Step(plugin=Refuse(), message="Delete", entity="account", stage=20, name="Refuse"))
    crm.restore(snapshot)
    assert stamp() == STAMPED
    assert {step.name for step in crm.steps} == {"Stamp", "Refuse"}


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Registration", "A step row Dataverse would refuse is refused with its code", "reference/web-service-error-codes"
)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stage": 30}, 0x80044184),
        ({"stage": 20, "mode": 1}, 0x80044184),
        ({"stage": None}, 0x80040203),
        ({"filteringattributes": "name,nonsense"}, 0x80041103),
        ({"sdkmessageid@odata.bind": f"/sdkmessages({message_id('Delete')})"}, 0x80040203),
    ],
    ids=["stage", "async", "no stage", "filter", "other message"],
)
def test_a_step_dataverse_would_refuse_is_refused(web, stamp_type, changes, code):
    body = web.a_step(plugin_type=stamp_type) | changes
    refusal = web.refusal("POST", "sdkmessageprocessingsteps", **body)
    assert (refusal.status, refusal.code) == (400, code), refusal.message
    assert len(web.get("sdkmessageprocessingsteps")["value"]) == 1


@pytest.mark.parametrize(("message", "table"), [("Upsert", "account"), ("Update", "serviceendpoint")])
def test_some_messages_and_tables_are_the_platforms_alone(web, stamp_type, message, table):
    body = web.a_step(message, table, plugin_type=stamp_type)
    assert web.refusal("POST", "sdkmessageprocessingsteps", **body).code == 0x80044187


def test_a_step_needs_a_handler(web):
    assert "eventhandler" in web.refusal("POST", "sdkmessageprocessingsteps", **web.a_step()).message


def test_a_plug_in_type_without_its_class_cannot_be_used(web):
    type_id = web.post("plugintypes", typename="nowhere:Nothing", name="nowhere:Nothing")
    refusal = web.refusal("POST", "sdkmessageprocessingsteps", **web.a_step(plugin_type=type_id, stage=20))
    assert (refusal.status, refusal.code) == (400, 0x80040203)
    assert "nowhere" in refusal.message


def test_a_change_that_breaks_a_step_is_refused_and_undone(web, stamp):
    assert web.refusal("PATCH", f"sdkmessageprocessingsteps({STAMP.id})", mode=1).code == 0x80044184
    assert stamp() == STAMPED


@pytest.mark.behaviour(
    "Registration", "An image row Dataverse would refuse is refused with its code", "reference/web-service-error-codes"
)
@pytest.mark.parametrize(
    ("message", "stage", "image", "code"),
    [
        ("Create", 20, {"imagetype": 0, "messagepropertyname": "Id"}, 0x8004416D),
        ("Update", 20, {"imagetype": 1, "messagepropertyname": "Target"}, 0x8004416E),
        ("Update", 40, {"imagetype": 1, "messagepropertyname": "Nonsense"}, 0x8004416B),
        ("Delete", 40, {"imagetype": 2, "messagepropertyname": "Target"}, 0x8004416D),
        ("Retrieve", 40, {"imagetype": 0, "messagepropertyname": "Target"}, 0x80044189),
        ("Update", 40, {"imagetype": 0, "messagepropertyname": "Target", "attributes": "nonsense"}, 0x80041103),
    ],
)
def test_an_image_dataverse_would_refuse_is_refused(crm, web, message, stage, image, code):
    step = Step(plugin=Stamp(), message=message, entity="account", stage=stage)
    crm.register(step)
    bound = {"sdkmessageprocessingstepid@odata.bind": f"/sdkmessageprocessingsteps({step.id})"}
    refusal = web.refusal("POST", "sdkmessageprocessingstepimages", name="i", entityalias="i", **image, **bound)
    assert (refusal.status, refusal.code) == (400, code), refusal.message


@pytest.mark.behaviour("Registration", "Navigation properties of step rows are spelled in lower case", "observed")
def test_navigation_properties_are_spelled_in_lower_case(web, stamp_type):
    body = web.a_step(plugin_type=stamp_type)
    body["SdkMessageId@odata.bind"] = body.pop("sdkmessageid@odata.bind")
    assert web.refusal("POST", "sdkmessageprocessingsteps", **body).status == 400


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"url": "http://example.com:8080/hook"}, 0x80040203),
        ({"url": "ftp://example.com/hook"}, 0x80040203),
        ({"url": "/hook"}, 0x80040203),
        ({"url": "https://example.com:99999/"}, 0x80040203),
        ({"authvalue": "k" * 2049}, 0x80044331),
        ({"authtype": 2}, 0x80040203),
        ({"authtype": 1}, 0x80050209),
        ({"contract": 7}, 0x80040315),
        ({"contract": 2, "path": "q", "authtype": 2, "messageformat": 1}, 0x80040315),
        ({"contract": 2, "authtype": 2, "messageformat": 2}, 0x80040203),
        ({"authvalue": 7}, 0x80048D19),
    ],
)
def test_an_endpoint_nothing_can_be_sent_to_is_refused(web, changes, code):
    body = {"name": "a hook", "contract": 8, "authtype": 4, "url": "https://example.com/hook"} | changes
    assert web.refusal("POST", "serviceendpoints", **body).code == code


@pytest.mark.parametrize(
    "url", ["https://example.com/h", "http://example.com:80/h", "http://[::1]:9/", "http://localhost:1/"]
)
def test_other_ports_are_for_this_machine_alone(web, webhook, url):
    assert web.get(f"serviceendpoints({webhook(url)})")["url"] == url


def test_steps_of_an_endpoint_that_takes_none_of_their_kind_forbid_the_change(web, webhook):
    endpoint = webhook("https://example.com/hook")
    web.register(endpoint=endpoint)
    refusal = web.refusal("PATCH", f"serviceendpoints({endpoint})", contract=2, path="q", authtype=2, messageformat=2)
    assert "asynchronous" in refusal.message


# --- endpoints and their secrets ------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Registration", "authvalue of an endpoint can be written and not read", "reference/entities/serviceendpoint"
)
def test_what_proves_the_sender_can_be_written_and_not_read(web, webhook):
    endpoint = webhook("https://example.com/hook")
    row = web.get(f"serviceendpoints({endpoint})")
    assert (row["authvalue"], row["isauthvalueset"]) == (None, True)
    assert web.get("serviceendpoints?$filter=authvalue eq 's3cret-key'")["value"] == []
    web.patch(f"serviceendpoints({endpoint})", authvalue=None)
    assert web.get(f"serviceendpoints({endpoint})")["isauthvalueset"] is False


def test_a_deleted_endpoint_takes_its_steps_and_its_secret_along(crm, web, webhook):
    endpoint = webhook("https://example.com/hook")
    web.register(endpoint=endpoint)
    web.delete(f"serviceendpoints({endpoint})")
    assert crm.steps == (STAMP,)
    held = crm.snapshot().rows.execute("SELECT count(*) FROM write_only").fetchone()
    assert held == (0,)


def test_the_steps_of_an_endpoint_are_found_from_it(web, webhook):
    endpoint = webhook("https://example.com/hook")
    web.register(endpoint=endpoint)
    found = web.get(f"serviceendpoints({endpoint})/serviceendpoint_sdkmessageprocessingstep?$select=name")["value"]
    assert [row["name"] for row in found] == ["a hook: Create of account"]


def test_registrations_are_rows_like_others(service):
    found = service.retrieve_multiple(QueryExpression.of("sdkmessageprocessingstep", "name", where={"name": "Stamp"}))
    assert [row["name"] for row in found] == ["Stamp"]
