"""A run fails when a planted secret gets out, whichever way it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: Put together here, so that this file's own failures do not hold it.
SECRET = "whsec_" + "planted_here"

WAYS = {
    "print": f"print('{SECRET}')",
    "standard error": f"import sys; sys.stderr.write('{SECRET}')",
    "log": f"import logging; logging.getLogger('x').warning('{SECRET}')",
    "command": """
    import click
    from click.testing import CliRunner
    CliRunner().invoke(click.Command("leak", callback=lambda: click.echo("SECRET")))
""",
    "process": """
    import subprocess, sys
    subprocess.run([sys.executable, "-c", "print('SECRET')"], capture_output=True)
""",
    "process that is read line by line": """
    import subprocess, sys
    arguments = [sys.executable, "-c", "print('SECRET')"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
""",
    "process that shares our output": """
    import subprocess, sys
    subprocess.run([sys.executable, "-c", "print('SECRET')"])
""",
    "nothing": "print('whsec_***')",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run says whose tests each leak in one of the ways, and all of which pass otherwise."""
    directory = tmp_path_factory.mktemp("leaking")
    tests = [f"def test_{named(way)}():\n    {how.strip()}\n" for way, how in WAYS.items()]
    (directory / "test_ways.py").write_text("\n\n".join(tests).replace("SECRET", SECRET))
    (directory / "conftest.py").write_text(
        "import leaks\n\n\ndef pytest_configure(config):\n    config.pluginmanager.register(leaks.Leaks())\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-p",
        "xdist.plugin",
        "-n",
        "1",
        str(directory),
    ]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(TESTS), "COLUMNS": "200"}
    # To a file: what the tests of that run leak is not leaked by this one.
    with (directory / "said").open("w") as file:
        run = subprocess.run(command, cwd=directory, env={**os.environ, **alone}, stdout=file)
    assert run.returncode == 1
    return (directory / "said").read_text()


def named(way: str) -> str:
    return way.replace(" ", "_")


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"nothing"}))
def test_a_leak_fails_the_test_it_happened_in(said: str, way: str) -> None:
    assert f"ERROR test_ways.py::test_{named(way)} - A planted secret" in said


def test_a_test_without_a_leak_passes(said: str) -> None:
    assert "ERROR test_ways.py::test_nothing" not in said
    assert f"{len(WAYS)} passed, {len(WAYS) - 1} errors" in said
