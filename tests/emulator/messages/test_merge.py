"""Merge: two rows become one."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityReference, OptionSetValue, new_guid
from runner.emulator.errors import InvalidArgument, MethodNotSupported, ObjectDoesNotExist
from runner.execution.step import Image

INACTIVE = OptionSetValue(1)


@pytest.fixture
def target(service):
    return EntityReference("account", service.create(account(name="Contoso")))


@pytest.fixture
def subordinate(service):
    return EntityReference("account", service.create(account(name="Contoso Ltd")))


@pytest.fixture
def merge(send, target, subordinate):
    def merged(**more):
        return send("Merge", **{"Target": target, "SubordinateId": subordinate.id, **more})

    return merged


def child_of(service, parent, name="child"):
    return service.create(account(name=name, parentaccountid=parent))


@pytest.mark.behaviour(
    "Messages", "Merge deactivates the subordinate row, which names its master", "webapi/merge-entity-using-web-api"
)
def test_the_subordinate_is_deactivated(service, merge, target, subordinate):
    assert merge() == {}
    row = service.retrieve("account", subordinate.id)
    assert (row["statecode"], row["merged"], row["masterid"]) == (INACTIVE, True, target)
    assert not service.retrieve("account", target.id, ["merged"])["merged"]


@pytest.mark.behaviour(
    "Messages", "Merge moves what refers to the subordinate row to the target", "webapi/merge-entity-using-web-api"
)
def test_what_refers_to_the_subordinate_follows(service, merge, target, subordinate):
    child = child_of(service, subordinate)
    contact = service.create(Entity("contact", None, {"lastname": "Doe", "parentcustomerid": subordinate}))
    merge()
    assert service.retrieve("account", child)["parentaccountid"] == target
    assert service.retrieve("contact", contact)["parentcustomerid"] == target


@pytest.mark.behaviour(
    "Messages",
    "Merge sets the columns of UpdateContent, and no others, on the target",
    "webapi/merge-entity-using-web-api",
)
def test_the_content_is_set(service, merge, target):
    merge(UpdateContent=Entity("account", None, {"accountnumber": "1234"}))
    row = service.retrieve("account", target.id)
    assert (row["accountnumber"], row["name"]) == ("1234", "Contoso")


@pytest.mark.behaviour(
    "Messages", "Merge runs its own steps, and those of the Updates it makes, in one transaction", "common"
)
def test_the_steps_of_a_merge(service, on, ran, merge, subordinate):
    ran("Merge")
    messages = ran("Update")
    child = child_of(service, subordinate)

    @on("Update", 40, filtering_attributes=frozenset({"statecode"}))
    def refuse(context):
        assert context.parent_context.message_name == "Merge"
        raise ValueError("no")

    with pytest.raises(Exception, match="no"):
        merge()
    assert messages == ["Merge", "Update", "Update"]
    assert service.retrieve("account", child)["parentaccountid"] == subordinate


def test_images_of_the_target(service, on, merge, target):
    seen = []
    images = (Image("before", "pre", ("accountnumber",)), Image("after", "post", ("accountnumber",)))

    @on("Merge", 40, images=images)
    def look(context):
        seen.append((context.pre_image("before").get("accountnumber"), context.post_image("after")["accountnumber"]))

    merge(UpdateContent=Entity("account", None, {"accountnumber": "1"}))
    assert seen == [(None, "1")]


def test_content_may_come_from_the_subordinate(service, merge, target, subordinate):
    row = service.retrieve("account", subordinate.id, ["name"])
    merge(UpdateContent=row)
    assert service.retrieve("account", target.id)["name"] == "Contoso Ltd"


def test_content_of_another_table_is_refused(merge):
    with pytest.raises(InvalidArgument, match="UpdateContent is a contact"):
        merge(UpdateContent=Entity("contact", None, {"lastname": "Doe"}))


def test_an_earlier_subordinate_keeps_its_master(service, send, merge, subordinate):
    earlier = service.create(account(name="Contoso GmbH"))
    send("Merge", Target=subordinate, SubordinateId=earlier)
    merge()
    assert service.retrieve("account", earlier)["masterid"] == subordinate


def test_a_target_below_its_subordinate_stays_there(service, merge, target, subordinate):
    service.update(Entity("account", target.id, {"parentaccountid": subordinate}))
    merge()
    assert service.retrieve("account", target.id)["parentaccountid"] == subordinate


@pytest.mark.behaviour(
    "Messages", "Merge refuses rows with different parents if asked to check", "webapi/merge-entity-using-web-api"
)
def test_different_parents_are_refused_when_asked(service, merge, target):
    service.update(
        Entity("account", target.id, {"parentaccountid": EntityReference("account", service.create(account()))})
    )
    with pytest.raises(InvalidArgument, match="differently parented"):
        merge(PerformParentingChecks=True)
    merge(PerformParentingChecks=False)


def test_a_row_is_merged_once(merge):
    merge()
    with pytest.raises(InvalidArgument, match="inactive"):
        merge()


def test_a_row_is_not_merged_with_itself(merge, target):
    with pytest.raises(InvalidArgument, match="identical"):
        merge(SubordinateId=target.id)


def test_both_rows_must_exist(merge):
    with pytest.raises(ObjectDoesNotExist):
        merge(SubordinateId=new_guid())
    with pytest.raises(ObjectDoesNotExist):
        merge(Target=EntityReference("account", new_guid()))


@pytest.mark.behaviour(
    "Messages", "Merge is for accounts and contacts; other tables refuse it", "webapi/merge-entity-using-web-api"
)
def test_other_tables_are_not_merged(merge):
    with pytest.raises(MethodNotSupported, match="Merge"):
        merge(Target=EntityReference("new_payment", new_guid()))
