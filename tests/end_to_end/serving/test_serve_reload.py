"""``runner serve --reload`` in a project of its own: what is edited runs next, and nothing is lost on the way."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
import requests
from serving_world import Process

PLUGIN = """
import time
from pathlib import Path

from runner.plugin import Plugin


class Name(Plugin):
    def execute(self, context):
        while context.target["new_name"] == "slow" and not Path("go").exists():
            Path("begun").touch()
            time.sleep(0.01)
        context.target["new_name"] = "{name}"
"""
STEP = """
  - name: {plugin}
    plugin: {plugin}
    message: Create
    entity: new_payment
    stage: 20
    rank: {rank}
"""
ADDRESS = '"url": "http'
EDITED = 1_780_000_000
#: Python keeps what it has compiled, unless a person's environment says otherwise.
COMPILING = {"PYTHONDONTWRITEBYTECODE": ""}


class Project:
    """A directory with a plug-in, and once it is started ``runner serve --reload`` in it."""

    serve: Process
    url: str

    def __init__(self, directory: Path, processes) -> None:
        self.directory = directory
        self._processes = processes
        self.name_rows("one")
        self.register("shop.names:Name")

    def start(self, *options: str, **settings: str) -> None:
        arguments = ("serve", "--reload", "--port", "0", *options)
        self.serve = self._processes(*arguments, directory=self.directory, errors=True, **settings, **COMPILING)
        self.url = re.search(r"http://[\d.:]+", self.serve.said)[0]

    def name_rows(self, name: str, module: str = "shop/names.py") -> None:
        file = self.directory / module
        file.parent.mkdir(exist_ok=True)
        file.write_text(PLUGIN.format(name=name))
        # As two edits within one second are: all these files are of one length, too.
        os.utime(file, (EDITED, EDITED))

    def register(self, *plugins: str) -> None:
        steps = "".join(STEP.format(plugin=plugin, rank=rank) for rank, plugin in enumerate(plugins, 1))
        (self.directory / "registrations.yaml").write_text(f"steps:{steps}")

    def create(self, name: str = "quick") -> str:
        """What the new row is called in the end."""
        headers = {"Prefer": "return=representation"}
        rows = f"{self.url}/api/data/v9.2/new_payments"
        return requests.post(rows, json={"new_name": name}, headers=headers, timeout=60).json()["new_name"]

    def names(self) -> set[str]:
        rows = requests.get(f"{self.url}/api/data/v9.2/new_payments?$select=new_name", timeout=60).json()["value"]
        return {row["new_name"] for row in rows}


@pytest.fixture
def stopped(tmp_path, processes) -> Project:
    return Project(tmp_path, processes)


@pytest.fixture
def project(stopped) -> Project:
    stopped.start("--json")
    return stopped


def test_an_edited_plug_in_runs_next_and_the_rows_are_still_there(project) -> None:
    assert project.create() == "one"
    project.name_rows("two")
    project.serve.wait_for(ADDRESS)
    assert project.create() == "two"
    assert project.names() == {"one", "two"}
    assert project.serve.stop() == 0


def test_a_person_is_shown_what_the_edited_plug_in_does_in_colour_where_wanted(stopped) -> None:
    stopped.start(FORCE_COLOR="1")
    stopped.name_rows("two")
    stopped.serve.wait_for("Listening at")
    assert stopped.create() == "two"
    assert "\x1b[" in stopped.serve.wait_for("shop.names:Name")


def test_a_mistake_is_told_and_the_old_plug_in_goes_on(project) -> None:
    names = project.directory / "shop" / "names.py"
    sound = names.read_text()
    names.write_text(sound + "\nclass Broken(:\n")
    assert "(names.py:15)" in project.serve.wait_for("SyntaxError")
    project.serve.wait_for("Nothing is reloaded")
    assert project.create() == "one"
    names.write_text(sound.replace("one", "two"))
    project.serve.wait_for(ADDRESS)
    assert project.create() == "two"


def test_a_new_registration_brings_its_plug_in_which_is_watched_too(project) -> None:
    project.name_rows("three", "other.py")
    project.register("shop.names:Name", "other:Name")
    project.serve.wait_for(ADDRESS)
    assert project.create() == "three"
    project.name_rows("four", "other.py")
    project.serve.wait_for(ADDRESS)
    assert project.create() == "four"


def test_what_is_at_work_is_finished_by_the_plug_in_that_began_it(project, until) -> None:
    named = []
    request = threading.Thread(target=lambda: named.append(project.create("slow")))
    request.start()
    until((project.directory / "begun").exists)
    project.name_rows("two")
    project.serve.wait_for("changed")
    (project.directory / "go").touch()
    project.serve.wait_for(ADDRESS)
    request.join()
    assert named == ["one"]
    assert project.create() == "two"


def test_what_cannot_start_waits_for_the_next_change(project) -> None:
    registrations = project.directory / "registrations.yaml"
    sound = registrations.read_text()
    registrations.write_text(f"{sound}    configuration: ${{env:NOBODY_SET_THIS}}\n")
    project.serve.wait_for("NOBODY_SET_THIS")
    project.serve.wait_for("Nothing is served until a file changes")
    registrations.write_text(sound)
    project.serve.wait_for(ADDRESS)
    assert project.create() == "one"


def test_nobody_serves_on_when_the_one_who_reloads_was_killed(project, until) -> None:
    project.serve.kill()

    def is_gone() -> bool:
        try:
            requests.get(f"{project.url}/healthz", timeout=5)
        except requests.RequestException:
            return True
        return False

    until(is_gone)
