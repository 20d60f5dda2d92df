"""What of the image can be seen without building it: nothing missing, nothing secret, nobody root."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from runner.settings import Settings

ROOT = Path(__file__).parents[2]
#: The instructions, each as one line, without the comments.
INSTRUCTIONS = [
    tuple(line.split(maxsplit=1))
    for line in re.sub(
        r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    ).split("\n")
    if line
]
IGNORE = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def instructions(name: str) -> list[str]:
    return [content for instruction, content in INSTRUCTIONS if instruction == name]


def copied() -> set[str]:
    """What is taken from the repository."""
    of_context = [shlex.split(content) for content in instructions("COPY") if not content.startswith("--from=")]
    return {source for words in of_context for source in words[:-1]}


def test_everything_copied_is_there_and_let_through() -> None:
    assert [source for source in sorted(copied()) if not (ROOT / source).exists()] == []
    assert copied() == {line[1:] for line in IGNORE if line.startswith("!")}


def test_nothing_enters_that_is_not_named() -> None:
    assert next(iter(IGNORE)) == "*"


def test_every_package_of_the_wheel_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied()


def test_the_bases_are_slim_and_of_a_python_that_is_supported() -> None:
    assert {base.split()[0] for base in instructions("FROM")} == {"python:${PYTHON_VERSION}-slim"}
    (argument,) = instructions("ARG")
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {argument.removeprefix('PYTHON_VERSION=')}" in supported


def test_the_image_runs_as_an_unprivileged_user() -> None:
    (user,) = instructions("USER")
    uid, _, gid = user.partition(":")
    assert int(uid) > 1000
    assert int(gid) > 1000


def test_every_installation_is_pinned_by_hash_or_from_here() -> None:
    commands = re.findall(r"pip (?:install|wheel) [^&]+", " && ".join(instructions("RUN")))
    assert len(commands) == 4
    assert all("--require-hashes" in command or "--no-deps" in command for command in commands)


def test_what_is_set_is_no_secret_and_is_read() -> None:
    names = {word.partition("=")[0] for content in instructions("ENV") for word in shlex.split(content)}
    foreign = {name for name in names if name.startswith(("PIP_", "PYTHON")) or name == "PATH"}
    assert names - foreign <= {field.upper() for field in Settings.__dataclass_fields__}
    assert not any(re.search("KEY|SECRET|PASSWORD|TOKEN", name) for name in names)


def test_what_is_kept_is_in_a_directory_that_is_the_users_own() -> None:
    user, directory = instructions("USER")[0].split(":")[0], "/data"
    assert f"RUNNER_DATA_DIR={directory}" in shlex.split(instructions("ENV")[-1])
    assert f"install --directory --owner {user} --group {user} {directory}" in instructions("RUN")


def test_the_image_serves_unless_told_otherwise() -> None:
    (command,) = instructions("CMD")
    name, *options = json.loads(command)
    context = getattr(import_module(f"runner.cli.{name}"), name).make_context(name, options)
    assert context.params["host"] == "0.0.0.0"  # noqa: S104 - the container's own network
    assert f"{context.params['port']}" in instructions("EXPOSE")


def test_the_health_check_asks_what_is_served() -> None:
    (check,) = instructions("HEALTHCHECK")
    program = json.loads(check[check.index("[") :])
    compile(program[2], "HEALTHCHECK", "exec")
    assert ":8080/healthz" in program[2]


@pytest.mark.parametrize("name", ["azure-servicebus", "azure-identity", "azure-keyvault-secrets", "msal", "stripe"])
def test_the_image_holds_what_azure_needs(name: str) -> None:
    assert name in {found for found, _ in PINNED.findall((ROOT / "requirements-azure.lock").read_text())}


def test_the_image_runs_what_was_tested() -> None:
    tested = PINNED.findall((ROOT / "requirements-dev.lock").read_text())
    assert set(PINNED.findall((ROOT / "requirements-azure.lock").read_text())) <= set(tested)


def test_every_lock_is_written_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert [lock.name for lock in ROOT.glob("*.lock") if f"-o {lock.name}" not in makefile] == []
