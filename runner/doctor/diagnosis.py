"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How a check ended. ``WARNING``: it works, but needs attention. ``SKIPPED``: it is not used, or not checked."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report. ``advice`` says what to do, and is empty when there is nothing to do."""

    subject: str
    health: Health
    finding: str
    advice: str = ""


def ok(subject: str, finding: str) -> Diagnosis:
    return Diagnosis(subject, Health.OK, finding)


def warning(subject: str, finding: str, advice: str) -> Diagnosis:
    return Diagnosis(subject, Health.WARNING, finding, advice)


def failed(subject: str, finding: str, advice: str) -> Diagnosis:
    return Diagnosis(subject, Health.FAILED, finding, advice)


def skipped(subject: str, finding: str) -> Diagnosis:
    return Diagnosis(subject, Health.SKIPPED, finding)
