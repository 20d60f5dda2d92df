"""What a step of stage 10 or 20 may put in place of the rows its operation is about."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityCollection, EntityReference, new_guid
from runner.emulator.errors import InvalidArgument
from runner.execution.step import Image


def put(value):
    def work(context):
        context.input_parameters["Target"] = value

    return work


def take_away(context):
    del context.input_parameters["Target"]


WRONG = {
    "nothing": (take_away, "nothing in place of Target, the Entity account"),
    "a value": (put("Contoso"), "a value of type str"),
    "a reference": (put(EntityReference("account", new_guid())), "the EntityReference account"),
    "a row of another table": (put(Entity("contact")), "the Entity contact"),
}


@pytest.mark.parametrize("stage", [10, 20])
@pytest.mark.parametrize(("work", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_step_that_puts_no_such_row_into_target_is_refused_by_name(on, service, names, work, said, stage):
    on("Create", stage=stage, name="Tidy up")(work)
    with pytest.raises(InvalidArgument, match=rf"Step 'Tidy up' \(small_plugins:Do\) put {said}"):
        service.create(account())
    assert names() == []


def test_a_step_that_takes_away_the_row_to_delete_is_refused(on, service, names):
    id = service.create(account())
    on("Delete", stage=20)(take_away)
    with pytest.raises(InvalidArgument, match="put nothing in place of Target, the EntityReference account"):
        service.delete("account", id)
    assert names() == ["Contoso"]


def test_what_happens_to_target_after_the_row_is_written_matters_to_nobody(on, service, names):
    on("Create", stage=40)(take_away)
    service.create(account())
    assert names() == ["Contoso"]


def changed(change):
    def work(context):
        rows = context.input_parameters["Targets"].entities
        context.input_parameters["Targets"] = EntityCollection(change(rows))

    return work


MOVED = {
    "removed": lambda rows: rows[1:],
    "added": lambda rows: [*rows, account("More")],
    "moved": lambda rows: rows[::-1],
    "of another table": lambda rows: [Entity("contact"), rows[1]],
}


@pytest.mark.behaviour(
    "Messages", "A step that adds, removes or moves rows of Targets is refused, and named", "decided"
)
@pytest.mark.parametrize("stage", [10, 20])
@pytest.mark.parametrize("change", MOVED.values(), ids=MOVED.keys())
def test_rows_of_targets_stay_where_they_are(on, send, names, change, stage):
    on("CreateMultiple", stage=stage, name="Sift")(changed(change))
    with pytest.raises(InvalidArgument, match="Step 'Sift'"):
        send("CreateMultiple", Targets=EntityCollection([account("A"), account("B")]))
    assert names() == []


def test_rows_cannot_be_appended_to_the_collection_either(on, send, names):
    @on("CreateMultiple", stage=20, name="Sift")
    def work(context):
        context.input_parameters["Targets"].entities.append(account("C"))

    with pytest.raises(InvalidArgument, match=r"a collection of 2 rows in place of Targets, .* with 1 rows"):
        send("CreateMultiple", Targets=EntityCollection([account("A")]))
    assert names() == []


@pytest.mark.parametrize("stage", [10, 20])
def test_a_copy_in_targets_is_what_the_steps_of_each_row_see(on, send, names, stage):
    """Given a step that replaces a row by a copy with another name, then the step of that row is told of the copy."""
    on("CreateMultiple", stage=stage)(changed(lambda rows: [account("Copy", rows[0].id), rows[1]]))

    @on("Create", stage=stage)
    def shout(context):
        context.target["name"] = context.target["name"].upper()

    send("CreateMultiple", Targets=EntityCollection([account("A"), account("B")]))
    assert names() == ["B", "COPY"]


def test_images_stay_with_the_row_that_was_replaced_by_a_copy(on, send, service):
    ids = [service.create(account("A")), service.create(account("B"))]
    seen = []

    @on("UpdateMultiple", stage=20)
    def replace(context):
        rows = context.input_parameters["Targets"].entities
        rows[0] = Entity("account", None, {"name": "Copy"})

    @on("Update", stage=40, images=[Image("was", "pre", ["name"]), Image("is", "post", ["name"])])
    def look(context):
        seen.append((context.pre_image("was")["name"], context.post_image("is")["name"]))

    rows = [Entity("account", id, {"name": "New"}) for id in ids]
    send("UpdateMultiple", Targets=EntityCollection(rows))
    assert seen == [("A", "Copy"), ("B", "New")]
