"""Adds to pytest's report of a failed test what the plug-ins did, and removes the frames in between."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from azure_bridge.redaction import redact
from runner.execution.execution import Execution
from runner.execution.host import text_of

#: ``pytest --full-trace`` shows their frames all the same.
_PACKAGES = ("runner.", "azure_bridge.", "dataverse_client.")


@contextmanager
def runner_frames_hidden() -> Iterator[None]:
    """Inside, pytest leaves the runner's frames out of the tracebacks it writes."""
    modules = [module for name, module in sys.modules.items() if name.startswith(_PACKAGES)]
    for module in modules:
        vars(module)["__tracebackhide__"] = True
    try:
        yield
    finally:
        for module in modules:
            vars(module).pop("__tracebackhide__", None)


def summary_of(executions: Iterable[Execution]) -> str:
    """Each execution by its step, with what it traced and how it failed."""
    return "\n".join(line for execution in executions for line in _lines(execution))


def _lines(execution: Execution) -> Iterator[str]:
    context, error = execution.context, execution.error
    yield f"{execution.step.name} (stage {int(context.stage)}, depth {context.depth})"
    yield from (f"  {line}" for line in execution.lines)
    if error is not None:
        yield redact(f"  {type(error).__name__}: {text_of(error)}")
