"""A lock that lets only one process use the file of an environment.

Two processes would not know of each other's changes in memory: delta links would miss changes, new columns would be
unknown, and jobs would run twice. The operating system holds the lock, and releases it however the process ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    #: On Windows a locked byte cannot be read, so one that is never written is locked.
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
    """The database is in use, or its lock file cannot be opened. The message says what to do."""

    exit_code = 2


class DatabaseLock:
    """A lock that is held until :meth:`release` or the end of the process."""

    def __init__(self, database: Path) -> None:
        """Take the lock. Raises DatabaseInUseError."""
        # The file is not deleted, because another process might have locked it in the meantime.
        path = database.with_name(f"{database.name}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseInUseError(
                f"{path} cannot be opened: {error.strerror}. Run as its owner, or use another directory."
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            holder = os.read(descriptor, 20).decode(errors="replace")
            os.close(descriptor)
            raise DatabaseInUseError(
                f"{database} is in use{f' by process {holder}' if holder.isdecimal() else ''}, and two processes "
                "would miss each other's changes. End that one, or use another directory."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Release the lock. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        with suppress(AttributeError):
            self.release()
