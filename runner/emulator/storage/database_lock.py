"""A lock that lets only one process use the file of an environment.

What one process holds in memory another would not hear of: changes would be missing from a delta link, columns made by
one be unknown to the other, and one run the jobs the other still has. The operating system holds the lock, and lets go
of it however the process ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    #: Windows lets nobody read what is locked, so a byte that is never written is.
    _LOCKED_BYTE = 1 << 30

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DatabaseInUseError(Exception):
    """Somebody else has the rows, or keeps us from asking who. The message says who, and what to do."""

    exit_code = 2


class DatabaseLock:
    """Held from its making until :meth:`release`, or the end of the process."""

    def __init__(self, database: Path) -> None:
        """Raises DatabaseInUseError."""
        # The file stays: whoever removed it could take away the lock of somebody who came in between.
        path = database.with_name(f"{database.name}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseInUseError(
                f"{path} cannot be opened: {error.strerror}. Run as the user it belongs to, or use another directory."
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            holder = os.read(descriptor, 20).decode(errors="replace")
            os.close(descriptor)
            raise DatabaseInUseError(
                f"{database} is in use{f' by process {holder}' if holder.isdecimal() else ''}, and two at once would "
                "miss each other's changes. End that one, or use another directory."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        with suppress(AttributeError):
            self.release()
