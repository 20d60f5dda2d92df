"""What may be registered, and what a registration says of itself."""

from __future__ import annotations

import pytest

from runner.execution.step import Image, Step, StepError
from runner.plugin import Plugin


class Nothing(Plugin):
    def execute(self, context): ...


def step(**more):
    return Step(**{"plugin": Nothing(), "message": "Update", "entity": "account", "stage": 40, **more})


def test_a_step_names_itself_after_plugin_message_and_table():
    assert step().name.endswith(":Nothing: Update of account")
    assert step(entity=None).name.endswith("Update of any Entity")


def test_its_id_is_the_same_wherever_it_is_registered():
    assert step().id == step().id != step(stage=20).id


def test_an_id_of_its_own_is_kept_in_dataverses_spelling():
    assert step(id="{6F1B8C1E-7A54-4D59-9F0C-2D1F4C1A7B11}").id == "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


def test_filtering_attributes_are_lower_case():
    assert step(filtering_attributes={"Name"}).filtering_attributes == frozenset({"name"})


@pytest.mark.parametrize("columns", ["Name, Telephone1", ["name", "telephone1"], ("Name", "TELEPHONE1")])
def test_columns_come_as_dataverse_keeps_them_or_as_any_list(columns):
    image = Image("before", "pre", columns)
    assert image.columns == ("name", "telephone1")
    assert step(filtering_attributes=columns, images=[image]).filtering_attributes == {"name", "telephone1"}


@pytest.mark.parametrize("given", [Nothing, lambda context: None, None], ids=["class", "function", "nothing"])
def test_a_step_holds_an_instance(given):
    with pytest.raises(StepError, match=r"Step\(plugin=MyPlugin\(\)\)"):
        step(plugin=given)


@pytest.mark.parametrize("given", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_a_timeout_is_a_number_of_seconds(given):
    with pytest.raises(StepError, match="Use seconds, more than 0"):
        step(timeout=given)


def test_an_image_of_no_columns_is_one_of_all():
    assert Image("before", "pre", ()).columns is None


def test_a_tables_logical_name_is_lower_case():
    assert step(entity="Account").entity == "account"


def test_an_image_of_both_kinds_is_taken_before_and_after():
    registered = step(images=[Image("pre", "pre"), Image("post", "post"), Image("both", "both")])
    assert [image.alias for image in registered.pre_images] == ["pre", "both"]
    assert [image.alias for image in registered.post_images] == ["post", "both"]


@pytest.mark.behaviour("Registration", "Steps registered in code obey the same rules", "register-plug-in")
@pytest.mark.parametrize(
    ("registration", "said"),
    [
        pytest.param({"stage": 50}, "stage 50 cannot be registered.*0x80044184", id="unknown stage"),
        pytest.param({"stage": 20, "mode": 1}, "Use stage 40", id="asynchronous before 40"),
        pytest.param({"stage": 20, "images": (Image("x", "post"),)}, "0x8004416e", id="post-image before 40"),
        pytest.param({"message": "Create", "images": (Image("x"),)}, "no pre-image", id="pre-image of a new row"),
        pytest.param({"message": "Delete", "images": (Image("x", "both"),)}, "no post-image", id="image of no row"),
        pytest.param({"message": "Retrieve", "images": (Image("x"),)}, "0x80044189", id="image of a reading message"),
        pytest.param({"message": "Upsert"}, "runs no custom steps.*0x80044187", id="message that comes down to others"),
        pytest.param({"message": "ExecuteMultiple", "entity": None}, "0x80044187", id="message that carries others"),
        pytest.param({"message": "Associate"}, "no table.*0x80044187", id="table of a message about none"),
        pytest.param({"message": "PublishAll"}, "no table.*0x80044187", id="table of a message about customizations"),
        pytest.param({"mode": 2}, "mode 2 is unknown", id="unknown mode"),
        pytest.param({"mode": True}, "mode True is unknown", id="truth value as mode"),
        pytest.param({"rank": True}, "rank True is not valid", id="truth value as rank"),
        pytest.param({"isolation": "jail"}, "'thread' or 'process'", id="unknown isolation"),
        pytest.param({"run_as": "ada"}, "not a systemuserid", id="user who is no id"),
        pytest.param({"images": (Image("x", "middle"),)}, "of kind 'middle'", id="unknown kind of image"),
        pytest.param({"images": (Image(""),)}, "no alias", id="image without alias"),
    ],
)
def test_what_dataverse_would_refuse_is_refused(registration, said):
    with pytest.raises(StepError, match=said):
        step(**registration)
