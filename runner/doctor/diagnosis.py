"""What a check came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """``WARNING`` works for now; ``SKIPPED`` could not be looked at, or is not used."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report. ``advice`` is what to do; empty when nothing is to be done."""

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
