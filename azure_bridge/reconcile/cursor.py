"""How far a reconciliation has come, kept in a file so that an interrupted run can be continued."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from azure_bridge.errors import BridgeError


class CursorUnreadableError(BridgeError):
    """There is no cursor in the file, or nothing to continue from where it points: start a new run."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What a run compares, and where its next page begins: ``after`` is the last Stripe id or ``modifiedon`` seen."""

    since: datetime
    until: datetime
    organization_id: str | None
    undelivered: bool
    stage: str
    after: str | None = None
    found: int = 0
    fixed: int = 0

    @property
    def left(self) -> int:
        """How many differences were found and not fixed."""
        return self.found - self.fixed


def save(file: Path, cursor: Cursor) -> None:
    """Write the cursor to ``file``, atomically. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    with new.open("wb") as stream:
        stream.write(orjson.dumps(asdict(cursor)))
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def load(file: Path) -> Cursor | None:
    """The cursor in ``file``; None when there is no file, because no run was interrupted.

    Raises:
      CursorUnreadableError: the file does not hold a cursor.
    """
    try:
        values = orjson.loads(file.read_bytes())
        times = {name: datetime.fromisoformat(values[name]) for name in ("since", "until")}
        return Cursor(**{**values, **times})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise CursorUnreadableError(f"{file} says nothing of an interrupted run: start without --resume.") from error
