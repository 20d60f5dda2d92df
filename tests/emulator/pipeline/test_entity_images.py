"""Entity images: which columns they have, and of which moment."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    EntityReference,
    OptionSetValue,
    OrganizationRequest,
)
from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID
from runner.execution.step import Image


@pytest.mark.behaviour(
    "Images", "A pre-image holds the row before, a post-image after the operation; the id is always set", "observed"
)
def test_images_hold_the_row_before_and_after(service, seen):
    id = service.create(account())
    context = seen("Update", 40, images=(Image("row", "both", ("name",)),))
    service.update(account("Other", id))
    assert context().pre_image("row").attributes == {"name": "Contoso"}
    assert context().post_image("row").attributes == {"name": "Other"}
    assert context().post_image("row").id == id


@pytest.mark.behaviour(
    "Images", "An image registered without columns has every column that has a value", "understand-the-data-context"
)
def test_an_image_without_columns_has_all_that_have_a_value(service, seen):
    id = service.create(account(telephone1="1"))
    context = seen("Update", 20, images=(Image("before"),))
    service.update(account("Other", id))
    before = context().pre_image("before")
    assert (before["name"], before["telephone1"]) == ("Contoso", "1")
    assert "description" not in before
    assert "createdon" in before


def test_every_image_has_its_own_columns(service, seen):
    """Whatever the other images of the operation have: its row is read once for all."""
    names = seen("Update", 40, images=(Image("before", "both", ("name",)),))
    numbers = seen(
        "Update",
        20,
        images=(Image("before", "pre", ("telephone1", "description")), Image("description", "pre", ("description",))),
    )
    service.update(account("Fabrikam", service.create(account(telephone1="1", description="2"))))
    assert names().pre_image("before").attributes == {"name": "Contoso"}
    assert names().post_image("before").attributes == {"name": "Fabrikam"}
    assert numbers().pre_image("before").attributes == {"telephone1": "1", "description": "2"}
    assert numbers().pre_image("description").attributes == {"description": "2"}


@pytest.mark.behaviour("Images", "Images have no row version", "observed")
@pytest.mark.parametrize("message", ["Create", "Update"])
def test_an_image_has_no_row_version(service, seen, message):
    id = service.create(account()) if message == "Update" else None
    context = seen(message, 40, images=(Image("after", "post"),))
    service.update(account("New", id)) if id else service.create(account("New"))
    assert context().post_image("after").row_version is None


@pytest.mark.behaviour("Images", "A column without a value is not in an image", "common")
def test_a_column_without_a_value_is_not_in_the_image(service, seen):
    id = service.create(account())
    context = seen("Update", 20, images=(Image("before", "pre", ("name", "telephone1")),))
    service.update(account("Other", id))
    assert list(context().pre_image("before").keys()) == ["name"]


@pytest.mark.behaviour("Images", "Images carry formatted values and the names of lookups", "observed")
def test_images_name_lookups_and_format_values(service, seen):
    id = service.create(account())
    context = seen("Update", 20, images=(Image("before", "pre", ("ownerid", "statecode")),))
    service.update(account("Other", id))
    before = context().pre_image("before")
    assert before["ownerid"].name
    assert before.formatted_values["statecode"] == "Active"


@pytest.mark.behaviour("Images", "Images are snapshots: changing one changes nothing else", "common")
def test_changing_an_image_changes_nobody_elses(service, on, seen):
    id = service.create(account())

    @on("Update", 20, images=(Image("before"),), rank=0)
    def spoil(context):
        context.pre_image("before")["name"] = "Spoiled"

    context = seen("Update", 20, images=(Image("before"),))
    service.update(account("Other", id))
    assert context().pre_image("before")["name"] == "Contoso"


@pytest.mark.behaviour(
    "Images", "A nested update of the row shows in the post-image and not in the pre-image", "common"
)
def test_an_image_taken_before_a_nested_update_does_not_follow_it(service, on, seen):
    id = service.create(account())

    @on("Update", 20, filtering_attributes={"name"})
    def nest(context):
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    context = seen("Update", 40, images=(Image("row", "both", ("telephone1",)),), filtering_attributes={"name"})
    service.update(account("Other", id))
    assert "telephone1" not in context().pre_image("row")
    assert context().post_image("row")["telephone1"] == "1"


@pytest.mark.behaviour("Images", "There is a pre-image at stage 10 too", "common")
def test_a_pre_image_is_there_at_stage_10_too(service, seen):
    id = service.create(account())
    context = seen("Update", 10, images=(Image("before", "pre", ("name",)),))
    service.update(account("Other", id))
    assert context().pre_image("before")["name"] == "Contoso"


@pytest.mark.behaviour("Images", "Assign and SetState have pre-images, and post-images at stage 40", "register-plug-in")
@pytest.mark.parametrize("message", ["Assign", "SetState"])
def test_specialized_updates_have_images(crm, service, seen, message):
    id = service.create(account())
    context = seen(message, 40, images=(Image("row", "both", ("ownerid", "statecode")),))
    row = EntityReference("account", id)
    parameters = {
        "Assign": {"Target": row, "Assignee": EntityReference("systemuser", INTEGRATION_USER_ID)},
        "SetState": {"EntityMoniker": row, "State": OptionSetValue(1), "Status": OptionSetValue(2)},
    }
    crm.execute(OrganizationRequest(message, parameters[message]))
    column, before, after = {
        "Assign": ("ownerid", EntityReference("systemuser", ADMINISTRATOR_ID), parameters["Assign"]["Assignee"]),
        "SetState": ("statecode", OptionSetValue(0), OptionSetValue(1)),
    }[message]
    assert (context().pre_image("row")[column], context().post_image("row")[column]) == (before, after)


@pytest.mark.behaviour("Images", "Create has a post-image at stage 40, Delete a pre-image", "register-plug-in")
def test_the_only_image_of_a_new_row_and_of_a_deleted_one(service, seen):
    created = seen("Create", 40, images=(Image("row", "post", ("name",)),))
    deleted = seen("Delete", 40, images=(Image("row", "pre", ("name",)),))
    id = service.create(account())
    service.delete("account", id)
    assert created().post_image("row") == deleted().pre_image("row") == Entity("account", id, {"name": "Contoso"})


@pytest.mark.behaviour("Images", "Pre-images of stage 20 show what stage 10 changed in the row", "common")
def test_a_pre_image_shows_what_stage_10_wrote(service, on, seen):
    id = service.create(account())

    @on("Update", 10, filtering_attributes={"name"})
    def nest(context):
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    context = seen("Update", 20, images=(Image("before"),), filtering_attributes={"name"})
    service.update(account("Other", id))
    assert context().pre_image("before")["telephone1"] == "1"


@pytest.mark.behaviour("Images", "Post-images of synchronous steps are one snapshot, taken after stage 30", "decided")
def test_a_post_image_does_not_show_what_an_earlier_step_wrote(service, on, seen):
    @on("Create", 40, rank=1)
    def nest(context):
        context.organization.update(Entity("account", context.primary_entity_id, {"telephone1": "1"}))

    context = seen("Create", 40, rank=2, images=(Image("after", "post"),))
    service.create(account())
    assert "telephone1" not in context().post_image("after")
