"""``runner check`` as a person, an editor and a pipeline see it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from runner.cli.main import runner
from runner.registrations.schema import rendered

PLUGIN = """
from runner.plugin import Plugin

class Greet(Plugin):
    def __init__(self, configuration=None):
        super().__init__(configuration)
        self.greeting = self.configuration["greeting"]
    def execute(self, context): ...
"""

STEP = """
entities: {{customer: account}}
steps:
  - name: Greet
    plugin: {module}:Greet
    message: Create
    entity: customer
    stage: 40
    mode: async
    configuration: {configuration}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one plug-in, with the terminal in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNNER_REGISTRATIONS", raising=False)
    (tmp_path / f"{module(tmp_path)}.py").write_text(PLUGIN)
    return tmp_path


def module(project: Path) -> str:
    return f"greetings_{project.name}"


def write(project: Path, configuration: str = "{greeting: Hello}", name: str = "registrations.yaml") -> None:
    (project / name).write_text(STEP.format(module=module(project), configuration=configuration))


def check(*arguments: str) -> Result:
    return CliRunner().invoke(runner, ["check", *arguments])


def test_a_sound_file_is_shown_as_the_pipeline_runs_it(project: Path) -> None:
    write(project)
    result = check()
    assert result.exit_code == 0
    assert ["account", "Create", "40", "async", "1", "Greet", f"{module(project)}:Greet"] in [
        line.split() for line in result.output.splitlines()
    ]
    assert result.output.endswith("OK: 1 step in registrations.yaml.\n")


def test_a_narrow_terminal_loses_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    said = click.unstyle(check().output)
    assert f"Greet{module(project)}:Greet" in "".join(said.split())
    assert max(map(len, said.splitlines())) <= 70


def test_a_plug_in_that_refuses_its_configuration_is_a_problem_of_the_file(project: Path) -> None:
    write(project, configuration="{}")
    result = check()
    assert result.exit_code == 1
    assert "registrations.yaml:5:13: steps[0].plugin:" in result.output
    assert "could not be made: KeyError: 'greeting'" in result.output
    assert result.stderr == "registrations.yaml has 1 problem.\n"


def test_a_configuration_with_secrets_is_left_to_the_machine_that_has_them(project: Path) -> None:
    write(project, configuration='"${keyvault:greeting}"')
    assert check().exit_code == 0


def test_a_plug_in_that_is_not_there_is_a_problem(project: Path) -> None:
    write(project)
    (project / f"{module(project)}.py").unlink()
    result = check()
    assert result.exit_code == 1
    assert f"There is no module {module(project)}." in result.output


def test_problems_of_plug_ins_and_of_rules_come_together(project: Path) -> None:
    write(project, configuration="{}\n    filtering_attributes: [name]")
    result = check()
    assert "steps[0].plugin" in result.output
    assert "steps[0].filtering_attributes" in result.output


def test_json_lists_steps_and_problems(project: Path) -> None:
    write(project)
    answer = json.loads(check("--json").output)
    assert answer["ok"]
    assert answer["steps"][0]["table"] == "account"
    assert answer["problems"] == []


def test_json_names_the_place_the_rule_and_the_page(project: Path) -> None:
    (project / "registrations.yaml").write_text("steps: [{name: A, plugin: 'a:B', message: Create, stage: 30}]")
    result = check("--json")
    problem = next(each for each in json.loads(result.output)["problems"] if each["path"] == "steps[0].stage")
    assert result.exit_code == 1
    assert (problem["line"], problem["column"], problem["code"]) == (1, 58, "0x80044184")
    assert problem["url"].startswith("https://learn.microsoft.com/")


def test_the_file_can_be_named_by_a_setting(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, name="mine.yaml")
    monkeypatch.setenv("RUNNER_REGISTRATIONS", "mine.yaml")
    assert check().output.endswith("OK: 1 step in mine.yaml.\n")


def test_the_file_can_be_named_in_dotenv(project: Path) -> None:
    write(project, name="mine.yaml")
    (project / ".env").write_text("RUNNER_REGISTRATIONS=mine.yaml\n")
    assert check().output.endswith("OK: 1 step in mine.yaml.\n")


def test_a_missing_file_exits_with_2_and_says_where_to_look(project: Path) -> None:
    result = check("absent.yaml")
    assert result.exit_code == 2
    assert "absent.yaml cannot be read: No such file or directory. Start in the directory that has it" in result.output


def test_a_secret_in_the_file_never_reaches_the_screen(project: Path) -> None:
    write(project, configuration="{greeting: sk_live_51abcDEF}")
    for arguments in ([], ["--json"]):
        result = check(*arguments)
        assert result.exit_code == 1
        assert "abcDEF" not in result.output


def test_the_schema_can_be_printed() -> None:
    assert check("--schema").output == rendered()


def test_what_cannot_hold_remotely_is_said_of_files_with_endpoints(project: Path) -> None:
    endpoints = "endpoints: {hook: {type: webhook, auth: {type: webhook-key, value: '${env:KEY}'}}}"
    step = (
        "{name: A, plugin: 'MODULE:Greet', message: Create, entity: account, stage: 20, configuration: {greeting: Hi}}"
    )
    (project / "registrations.yaml").write_text(f"{endpoints}\nsteps: [{step.replace('MODULE', module(project))}]")
    assert "Note: Deferred steps of stages 10 and 20 run after the commit" in check().output
    (note,) = json.loads(check("--json").output)["notes"]
    assert (note["steps"], note["url"].partition("/power-apps")[0]) == (["A"], "https://learn.microsoft.com")
