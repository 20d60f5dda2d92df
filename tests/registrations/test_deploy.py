"""Registration as code, against the embedded Dataverse over its Web API."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, EntityReference, OptionSetValue, QueryExpression
from runner.execution.step import Step
from runner.plugin import Plugin
from runner.registrations.deploy import apply
from runner.registrations.deploy.plan import Kind
from runner.registrations.deploy.problems import ApplyError, UndeployableError
from runner.registrations.identity import endpoint_id, step_id


class Quiet(Plugin):
    def execute(self, context): ...


def test_into_an_empty_environment_everything_is_created(deployment):
    plan = deployment.plan()
    assert {change.kind for change in plan.changes} == {Kind.CREATED}
    assert [change.row.name for change in plan.changes] == [
        *("hook", "bus", "Dataverse plug-in runner"),
        *("Greet: Create of account", "Watch: Update of account", "before"),
        *("Veto: Delete of contact", "Later: Update of any Entity"),
    ]


def test_a_plan_after_apply_is_empty(deployed):
    assert deployed.changed() == {}


def test_a_deferred_step_is_told_after_the_commit(deployed):
    step = deployed.step("Greet")
    assert step["name"] == "Greet: Create of account"
    assert (step["stage"].value, step["mode"].value, step["asyncautodelete"]) == (40, 1, True)
    assert step["eventhandler"] == EntityReference("serviceendpoint", endpoint_id("hook"))


def test_an_inline_step_is_a_synchronous_webhook_at_its_stage(deployed):
    step = deployed.step("Veto")
    assert (step["stage"].value, step["mode"].value) == (10, 0)


def test_a_disabled_step_is_registered_disabled(deployed):
    assert deployed.step("Later")["statecode"] == OptionSetValue(1)
    assert "sdkmessagefilterid" not in deployed.step("Later")


def test_filters_and_images_are_registered(deployed):
    assert deployed.step("Watch")["filteringattributes"] == "name,telephone1"
    (image,) = deployed.client.query(QueryExpression.of("sdkmessageprocessingstepimage"))
    assert (image["entityalias"], image["attributes"]) == ("before", "name")


def test_a_change_by_hand_is_found_as_drift(deployed):
    by_hand = Entity("sdkmessageprocessingstep", step_id("Watch"), {"rank": 9, "filteringattributes": "name"})
    deployed.client.update(by_hand)
    assert deployed.changed() == {
        ("changed", "Watch: Update of account"): {
            "rank": ("9", "3"),
            "filteringattributes": ("name", "name, telephone1"),
        }
    }


def test_apply_puts_drift_right(deployed):
    deployed.client.delete("sdkmessageprocessingstep", step_id("Greet"))
    deployed.client.update(
        Entity(
            "sdkmessageprocessingstep",
            step_id("Veto"),
            {"statecode": OptionSetValue(1), "statuscode": OptionSetValue(2)},
        )
    )
    deployed.apply()
    assert deployed.changed() == {}
    assert deployed.step("Veto")["statecode"] == OptionSetValue(0)


def test_a_step_moved_to_another_message_is_changed_in_place(deployed):
    deployed.text = deployed.text.replace(
        "message: Update\n    entity: account\n    stage: 20", "message: Delete\n    entity: account\n    stage: 20"
    ).replace("    filtering_attributes: [name, telephone1]\n", "")
    assert deployed.changed()["changed", "Watch: Delete of account"]["sdkmessagefilterid"] == (
        "Update of account",
        "Delete of account",
    )
    deployed.apply()
    assert deployed.changed() == {}


def test_another_kind_of_image_takes_the_place_of_the_first(deployed):
    deployed.text = deployed.text.replace("stage: 20\n    rank", "stage: 40\n    rank").replace(
        "type: pre", "type: post"
    )
    assert {("removed", "before"), ("created", "before")} <= deployed.changed().keys()
    deployed.apply()
    assert deployed.changed() == {}


def test_secrets_are_set_and_never_shown(deployment):
    creation = next(change for change in deployment.plan().changes if change.row.name == "hook")
    assert [each.after for each in creation.columns if each.column == "authvalue"] == ["set"]
    assert "first-hook-key" not in repr(creation)


def test_a_changed_secret_is_noticed(deployed):
    deployed.key = "second-hook-key"
    assert deployed.changed()["changed", "hook"]["authvalue"] == (None, "changed")
    deployed.apply()
    assert deployed.changed() == {}


def test_what_left_the_file_stays_until_it_is_pruned(deployed):
    deployed.text = deployed.text.replace(
        '  - { name: Greet, plugin: "a:B", message: Create, entity: account, stage: 20, endpoint: hook }\n', ""
    )
    deployed.apply()
    assert deployed.changed() == {("removed", "Greet: Create of account"): {}}
    deployed.apply(prune=True)
    assert deployed.changed() == {}


def test_prune_removes_only_what_is_ours(deployed):
    client = deployed.client
    theirs = client.create(
        Entity(
            "serviceendpoint",
            None,
            {
                "name": "theirs",
                "contract": OptionSetValue(8),
                "authtype": OptionSetValue(4),
                "url": "https://x.example/",
            },
        )
    )
    watch = deployed.step("Watch")
    columns = {name: watch[name] for name in ("stage", "mode", "sdkmessageid", "sdkmessagefilterid")}
    handler = EntityReference("serviceendpoint", endpoint_id("bus"))
    foreign = client.create(
        Entity("sdkmessageprocessingstep", None, {"name": "By hand", "eventhandler": handler, **columns})
    )
    deployed.text = "steps: []"
    kept = {change.row.id for change in deployed.plan().changes}
    assert kept.isdisjoint({theirs, foreign})


def test_pruning_everything_leaves_nothing_of_ours(deployed):
    deployed.text = "steps: []"
    deployed.apply(prune=True)
    assert list(deployed.client.query(QueryExpression.of("serviceendpoint"))) == []
    assert list(deployed.client.query(QueryExpression.of("sdkmessageprocessingstep"))) == []


@pytest.fixture
def outdated(deployment):
    """A plan whose step filters on a column that was removed since."""
    with deployment.emulator.customizing() as customizations:
        customizations.create_column("account", "new_passing", {"type": "String", "max_length": 100})
        sound, deployment.text = deployment.text, deployment.text.replace("telephone1", "new_passing")
        plan, deployment.text = deployment.plan(), sound
        customizations.delete_column("account", "new_passing")
    return plan


def test_a_refused_apply_changes_nothing_and_can_be_run_again(deployment, outdated):
    with pytest.raises(ApplyError, match=r"new_passing.*Nothing was changed; run apply again"):
        apply.apply_plan(deployment.client, outdated)
    assert list(deployment.client.query(QueryExpression.of("serviceendpoint"))) == []
    deployment.apply()
    assert deployment.changed() == {}


def test_what_the_environment_cannot_have_is_said_all_at_once(deployment):
    deployment.text = deployment.text.replace("entity: contact", "entity: new_unknown").replace(
        "Create, entity: account", "new_Missing"
    )
    with pytest.raises(UndeployableError) as refused:
        deployment.plan()
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["Greet", "Veto"]


def test_many_changes_go_in_several_change_sets_and_a_refused_one_leaves_the_rest_to_the_next_time(
    deployment, outdated, monkeypatch
):
    monkeypatch.setattr(apply, "MOST_CHANGES", 3)
    with pytest.raises(ApplyError, match="3 changes before it are made; run apply again") as refused:
        apply.apply_plan(deployment.client, outdated)
    assert refused.value.done == 3
    assert len(deployment.changed()) == 5
    heard = []
    apply.apply_plan(deployment.client, deployment.plan(), lambda done, total: heard.append((done, total)))
    assert heard == [(3, 5), (5, 5)]
    assert deployment.changed() == {}


def test_a_managed_step_is_not_ours_to_change(deployment):
    greet = Step(plugin=Quiet(), id=step_id("Greet"), message="Create", entity="account", stage=40)
    deployment.emulator.register(greet)
    with pytest.raises(UndeployableError, match=r"--no-registrations:\n  Greet: Create of account"):
        deployment.plan()
