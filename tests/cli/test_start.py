"""Ctrl-C before the command has begun."""

from __future__ import annotations

import subprocess
import sys

INTERRUPTED_WHILE = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
sys.argv[1:] = ["check"]
from runner.cli.start import main
main()
"""


def interrupted_while_importing(module: str) -> tuple[int, bytes]:
    program = INTERRUPTED_WHILE.format(module=module)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    return ended.returncode, ended.stderr


def test_an_interrupt_while_the_command_line_is_loaded_is_no_traceback() -> None:
    assert interrupted_while_importing("click") == (130, b"")


def test_an_interrupt_while_the_command_is_loaded_is_no_traceback() -> None:
    assert interrupted_while_importing("runner.cli.check") == (1, b"\nAborted!\n")
