"""``runner doctor``: checks that the configuration works."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.doctor.diagnosis import Diagnosis

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": None}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
def doctor(as_json: bool) -> None:
    """Check settings, sign-in, tables, registrations, the Stripe key and webhook, and the queues.

    One line each, with what to do where something is wrong. Nothing is changed. Exit code 0 when everything that is
    used works, 1 when something does not.
    """
    from runner.doctor.diagnosis import Health
    from runner.doctor.examination import examine

    seen = []
    for diagnosis in examine():
        seen.append(diagnosis)
        if not as_json:
            _print(diagnosis)
    if as_json:
        click.echo(_answer(seen))
    if any(diagnosis.health is Health.FAILED for diagnosis in seen):
        click.get_current_context().exit(1)


def _print(diagnosis: Diagnosis) -> None:
    from azure_bridge.redaction import redact

    health = click.style(f"{diagnosis.health.value:8}", fg=_COLORS[diagnosis.health.value])
    finding = diagnosis.finding.rstrip(".")
    advice = f". {diagnosis.advice}" if diagnosis.advice else ""
    click.echo(f"{health}{diagnosis.subject:24}{redact(finding + advice)}")


def _answer(seen: list[Diagnosis]) -> str:
    from azure_bridge.redaction import redact

    return redact(json.dumps([dataclasses.asdict(each) for each in seen], indent=2, ensure_ascii=False))
