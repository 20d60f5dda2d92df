"""What docs/serve.md shows to begin with, done as it says: a row, its intent, the money, and the row again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = re.findall(r"```\n(curl .+?)\n```", (ROOT / "docs" / "serve.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's commands need curl")
def test_a_newcomer_pays_the_intent_of_a_row_and_sees_it_completed(processes, tmp_path, until) -> None:
    serve = processes(
        "serve", "--port", "0", "--json", directory=tmp_path, RUNNER_REGISTRATIONS=str(ROOT / "registrations.yaml")
    )
    create, pay, look = (command.replace("http://127.0.0.1:8080", serve.url) for command in COMMANDS)
    intent_id = answer(create)["new_stripepaymentintentid"]
    assert answer(pay.replace("pi_...", intent_id))["amount_received"] == 1999

    def status() -> str:
        return answer(look.replace("pi_...", intent_id))["new_paymentstatus@OData.Community.Display.V1.FormattedValue"]

    until(lambda: status() == "Completed")


def answer(command: str) -> dict:
    return json.loads(
        subprocess.run(["/bin/bash", "-c", f"{command} --silent --noproxy '*'"], capture_output=True, check=True).stdout
    )
