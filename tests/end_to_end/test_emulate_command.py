"""``runner emulate`` as a process: it says where it listens, serves, and ends in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from runner.cli.emulate import emulate as emulate_command
from runner.cli.main import runner
from runner.web.server import listen

PLUGIN = """
import time
from runner.plugin import Plugin

class Stamp(Plugin):
    def execute(self, context):
        context.trace("Stamping.")
        context.target["description"] = "stamped"

class Echo(Plugin):
    def execute(self, context):
        time.sleep(0.2)
        context.organization.create(type(context.target)("contact", attributes={"lastname": context.target["name"]}))
"""
STEPS = """
steps:
  - { name: Stamp, plugin: "stamping:Stamp", message: Create, entity: account, stage: 20 }
  - { name: Echo, plugin: "stamping:Echo", message: Create, entity: account, stage: 40, mode: async }
"""


@pytest.fixture
def project(tmp_path):
    """A directory with two plug-ins and their registrations."""
    (tmp_path / "stamping.py").write_text(PLUGIN)
    (tmp_path / "registrations.yaml").write_text(STEPS)
    return tmp_path


@pytest.fixture
def emulate(project):
    """Runs the command in the project; answers the process and what its first line says."""

    @contextmanager
    def started(*arguments, **environment):
        command = [sys.executable, "-c", "from runner.cli.start import main; main()", "emulate", "--port", "0"]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=project,
            # What a killed process leaves behind goes with the project.
            env={**os.environ, "TMPDIR": str(project), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return started


def ready(process):
    return json.loads(process.stdout.readline())


def stop(process, how=signal.SIGTERM):
    process.send_signal(how)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return said + complaints


def create(url, name="Contoso", **options):
    answer = requests.post(f"{url}/api/data/v9.2/accounts", json={"name": name}, timeout=30, **options)
    assert answer.status_code == 204, answer.text
    return answer.headers["OData-EntityId"]


def rows(url, query):
    return requests.get(f"{url}/api/data/v9.2/{query}", timeout=30).json()["value"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_serves_what_is_registered_until_it_is_told_to_stop(emulate, how):
    with emulate("--json") as process:
        url = ready(process)["url"]
        account = requests.get(create(url), timeout=30).json()
        assert account["description"] == "stamped"
        assert stop(process, how) == ""


def test_it_tells_people_where_it_is_and_what_plug_ins_do(emulate):
    with emulate() as process:
        address = process.stdout.readline()
        url = address.split(" at ")[1].split("/api/")[0]
        assert "Plug-ins of registrations.yaml, Stripe is the in-process simulator" in process.stdout.readline()
        create(url)
        said = stop(process)
    assert "Create account" in said
    assert "· Stamping." in said


def test_what_waits_in_the_background_is_finished_first(emulate, project):
    with emulate("--json", "--data", "kept") as process:
        url = ready(process)["url"]
        for number in range(3):
            create(url, f"Number {number}")
        stop(process)
    assert (project / "kept" / "dataverse.db").is_file()
    with emulate("--json", "--data", "kept", "--no-registrations") as process:
        found = rows(ready(process)["url"], "contacts?$select=lastname&$orderby=lastname")
        assert [row["lastname"] for row in found] == ["Number 0", "Number 1", "Number 2"]


def test_https_is_trusted_by_who_is_told_to(emulate):
    with emulate("--json", "--tls", "--no-registrations") as process:
        said = ready(process)
        assert said["url"].startswith("https://127.0.0.1:")
        create(said["url"], verify=said["ca"])


def test_limits_are_set_on_the_command_line(emulate):
    with emulate("--json", "--throttle-requests", "1", "--throttle-window", "60") as process:
        url = ready(process)["url"]
        create(url)
        refused = requests.get(f"{url}/api/data/v9.2/WhoAmI", timeout=30)
        assert refused.status_code == 429
        assert "limit of 1 over time window of 60 seconds" in refused.json()["error"]["message"]


def test_who_lets_other_machines_in_is_warned(emulate):
    with emulate("--json", "--host", "0.0.0.0", "--no-registrations") as process:  # noqa: S104
        assert ready(process)["url"].startswith("http://127.0.0.1:")
        assert "reachable from other machines" in stop(process)


def test_a_live_key_is_refused(emulate):
    with emulate(STRIPE_SECRET_KEY="sk_live_0123456789", STRIPE_LIVE="yes") as process:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "Live keys are refused" in complaint
        assert "0123456789" not in complaint


def test_every_option_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "emulate.md").read_text()
    options = [option for parameter in emulate_command.params for option in parameter.opts]
    assert [option for option in options if f"`{option}" not in page] == []


@pytest.fixture
def invoke(project, monkeypatch):
    monkeypatch.chdir(project)
    return lambda *arguments: CliRunner().invoke(runner, ["emulate", *arguments])


def test_a_port_in_use_is_one_clear_sentence(invoke):
    with listen("127.0.0.1", 0) as taken:
        result = invoke("--port", str(taken.getsockname()[1]), "--no-registrations")
    assert result.exit_code == 2
    assert "is in use" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--registrations", "absent.yaml"], "absent.yaml cannot be read"),
        (["--registrations", "registrations.yaml", "--no-registrations"], "contradict each other"),
        (["--host", "nowhere.invalid"], "nowhere.invalid is no address"),
        (["--data", "registrations.yaml/inside"], "--data registrations.yaml/inside"),
    ],
    ids=["no such file", "contradiction", "no such host", "no directory"],
)
def test_what_cannot_be_served_is_told(invoke, arguments, complaint):
    result = invoke("--port", "0", *arguments)
    assert result.exit_code == 2
    assert complaint in result.output
