"""A plan says everything that apply would be refused, before anything is written."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from dataverse_client.types import Entity, OptionSetValue
from runner.emulator.seed import SYSTEM_USER_ID
from runner.registrations.deploy.problems import UndeployableError

STEP = """
endpoints: {}
steps:
  - name: Watch
    plugin: a:C
    message: Update
    entity: account
    stage: 40
"""
NOBODY = "0f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


@pytest.fixture
def problems(deployment):
    """What a plan of a file finds that cannot be."""

    def found(text):
        deployment.text = text
        with pytest.raises(UndeployableError) as refused:
            deployment.plan()
        return list(refused.value.problems)

    return found


@pytest.fixture
def asked(deployment, monkeypatch):
    """Paths of the requests that are sent from now on."""
    heard, send = [], deployment.client.session.send
    monkeypatch.setattr(
        deployment.client.session,
        "send",
        lambda request, **more: heard.append(request.path_url) or send(request, **more),
    )
    return heard


def test_a_filter_names_columns_of_its_table(problems):
    assert problems(STEP + "    filtering_attributes: [name, telefone1, zzz]") == [
        "Watch: Update of account: filtering_attributes names telefone1, and account has no such column. "
        "Did you mean telephone1?",
        "Watch: Update of account: filtering_attributes names zzz, and account has no such column. "
        "Add the column there, or remove it here; runner apply --schema adds the columns of this product.",
    ]


def test_an_image_names_columns_of_its_table(problems):
    (problem,) = problems(STEP + "    images: [{ type: pre, alias: before, attributes: [name, nmae] }]")
    assert problem.startswith("Watch: Update of account: image before names nmae, and account has no such column.")


def test_a_step_runs_as_a_user_of_the_environment(problems, deployment):
    (problem,) = problems(STEP + f"    run_as: {NOBODY}")
    assert problem.startswith(f"Watch: Update of account: run_as names the user {NOBODY}, whom the environment has not")
    deployment.text = STEP + f"    run_as: {SYSTEM_USER_ID.upper()}"
    deployment.apply()
    assert deployment.changed() == {}


def test_what_stands_for_no_user_is_told_by_its_reference(problems):
    assert problems(STEP + "    run_as: ${env:HOOK_KEY}") == [
        "Watch: run_as, ${env:HOOK_KEY}, stands for no user's id. Give a systemuserid."
    ]


def test_everything_is_said_at_once(problems):
    lacking = problems(
        STEP
        + f"    run_as: {NOBODY}\n    filtering_attributes: [zzz]\n"
        + STEP.partition("steps:\n")[2].replace("Watch", "Other").replace("account", "new_unknown")
    )
    assert [each.split(": ")[0] for each in lacking] == ["Watch", "Watch", "Other"]


def test_a_table_is_asked_for_once_however_many_steps_name_its_columns(deployment, asked):
    step = STEP.partition("steps:\n")[2] + "    filtering_attributes: [name]\n"
    deployment.text = "steps:\n" + "".join(
        step.replace("Watch", f"Watch {n}").replace("a:C", f"a:C{n}") for n in range(5)
    )
    deployment.plan()
    assert sum("EntityDefinitions(LogicalName='account')" in unquote(each) for each in asked) == 1
    assert not any("/systemusers" in each for each in asked)


def test_a_custom_api_is_bound_to_a_table_that_is_there(problems):
    (problem,) = problems("custom_apis: { new_Settle: { entity: new_unknown } }")
    assert problem.startswith(
        "Custom API new_Settle: it is bound to new_unknown, and the environment has no such table"
    )


@pytest.fixture
def theirs(deployment):
    """Declares a custom API as somebody else would, that takes these steps."""

    def declare(takes):
        choices = {"bindingtype": OptionSetValue(0), "allowedcustomprocessingsteptype": OptionSetValue(takes)}
        names = dict.fromkeys(("uniquename", "name", "displayname"), "new_settle")
        deployment.client.create(Entity("customapi", None, {**names, **choices, "isfunction": False}))

    return declare


def test_a_custom_api_of_somebody_else_is_not_ours_to_declare(problems, theirs):
    theirs(takes=2)
    (problem,) = problems("custom_apis: { new_Settle: {} }")
    assert problem.startswith("Custom API new_Settle: the environment has one of that name, which is somebody else's.")


@pytest.mark.parametrize(
    ("takes", "delivery", "refusal"),
    [(0, "deferred", "takes no steps"), (1, "inline", "takes asynchronous steps only. Use delivery: deferred.")],
)
def test_a_custom_api_of_somebody_else_says_which_steps_it_takes(problems, theirs, takes, delivery, refusal):
    theirs(takes)
    step = f"name: Tell, plugin: 'a:B', message: new_settle, stage: 40, delivery: {delivery}"
    (problem,) = problems(f"steps: [{{ {step} }}]")
    assert problem.startswith(f"Tell: new_settle of any Entity: the custom API new_settle {refusal}")


def test_an_asynchronous_step_suits_a_custom_api_that_takes_those_only(deployment, theirs):
    theirs(takes=1)
    deployment.text = "steps: [{ name: Tell, plugin: 'a:B', message: new_settle, stage: 40 }]"
    deployment.apply()
    assert deployment.changed() == {}
