"""Reads and checks registrations.yaml. All problems are reported at once, each with its place in the file.

registrations = load(Path("registrations.yaml"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from azure_bridge.redaction import find_secrets, redact
from runner.registrations.document import Document, YamlSyntaxError
from runner.registrations.file_rules import FileRule, references_can_be_looked_up
from runner.registrations.model import Registrations
from runner.registrations.problems import Finding, Problem, RegistrationError, UnreadableRegistrationsError, dotted
from runner.registrations.rules import FILE_RULES, STEP_RULES, StepRule, apply_rules
from runner.registrations.structure import structure, view

__all__ = [
    "Examination",
    "Problem",
    "RegistrationError",
    "UnreadableRegistrationsError",
    "examine",
    "load",
    "parse",
]


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of reading a file: its problems; its registrations only if it has none."""

    registrations: Registrations | None
    problems: tuple[Problem, ...]


def load(file: Path) -> Registrations:
    """Read and check a file.

    Raises:
      RegistrationError: with every problem in it.
      UnreadableRegistrationsError: it cannot be opened.
    """
    return parse(read_text(file), str(file))


def parse(text: str, file: str = "registrations.yaml") -> Registrations:
    """Read and check a text. ``file`` is its name in the problems.

    Raises:
      RegistrationError: with every problem in it.
    """
    examination = examine(text, file)
    if examination.registrations is None:
        raise RegistrationError(examination.problems)
    return examination.registrations


def read_text(file: Path) -> str:
    """The file's text.

    Raises:
      RegistrationError: it is not UTF-8.
      UnreadableRegistrationsError: it cannot be opened.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnreadableRegistrationsError(file, error) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RegistrationError(
            [_problem(str(file), (line, 1), "This is not UTF-8 text.", "Save it as UTF-8.")]
        ) from None


def examine(
    text: str, file: str, more_rules: Sequence[StepRule] = (), more_file_rules: Sequence[FileRule] = ()
) -> Examination:
    """Read a text and check it by Dataverse's rules, and by ``more_rules`` and ``more_file_rules``."""
    try:
        document = Document(text)
    except YamlSyntaxError as error:
        message = f"This is not YAML: {redact(error.message)}."
        return Examination(None, (_problem(file, (error.line, error.column), message, ""),))
    if document.data is None:
        problem = _problem(file, (1, 1), "The file is empty.", "Start with steps: and a list of steps.")
        return Examination(None, (problem,))
    registrations, misfits = structure(document.data)
    unread = {finding.path for finding in document.findings}
    # What could not be read is missing from the data: that is said once.
    findings = [finding for finding in misfits if finding.path not in unread]
    findings += [*document.findings, *references_can_be_looked_up(document.data)]
    seen = view(document.data, registrations)
    findings += apply_rules(seen, (*STEP_RULES, *more_rules), (*FILE_RULES, *more_file_rules))
    problems = tuple(sorted({*_secrets(text, document, file), *_located(findings, document, file)}, key=_order))
    return Examination(None if problems else registrations, problems)


def _located(findings: Iterable[Finding], document: Document, file: str) -> Iterable[Problem]:
    for finding in findings:
        line, column = document.position(finding.path, at_key=finding.at_key)
        yield Problem(
            file=file,
            line=line,
            column=column,
            path=dotted(finding.path),
            message=finding.message,
            hint=finding.hint,
            code=finding.code,
            url=finding.url,
        )


def _secrets(text: str, document: Document, file: str) -> Iterable[Problem]:
    """Secrets anywhere in the text, comments included: what is in a file ends up in a repository."""
    for found in find_secrets(text):
        before = text[: found.offset]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        hint = "Remove it, revoke it if it was ever shared, and write a reference such as ${env:NAME} instead."
        yield _problem(file, place, f"This looks like {found.kind}.", hint, dotted(document.path_at(*place)))


def _problem(file: str, place: tuple[int, int], message: str, hint: str, path: str = "") -> Problem:
    return Problem(file=file, line=place[0], column=place[1], path=path, message=message, hint=hint)


def _order(problem: Problem) -> tuple[int, int, str, str]:
    return problem.line, problem.column, problem.path, problem.message
