"""The reasons why a registration cannot be deployed.

DeployError
  UndeployableError    the file asks for what this environment cannot do: change the file, or the environment
  ApplyError           the environment refused a change set: nothing of it is done, and apply can be run again
"""

from __future__ import annotations

from collections.abc import Iterable


class DeployError(Exception):
    """Registrations and environment cannot be brought together. The message says why and what to do."""


class UndeployableError(DeployError):
    """``problems`` has one sentence for each thing to put right."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ApplyError(DeployError):
    """A change set was refused. ``done`` changes were made before it."""

    def __init__(self, message: str, done: int) -> None:
        super().__init__(message)
        self.done = done
