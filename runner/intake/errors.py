"""What keeps a notification from being handled, beside what plug-ins and Dataverse raise.

IntakeError
  NotYetError    what it is about is not to be seen yet, or keeps changing: again later
  TooDeepError   our own writes keep setting off our own steps
  SeenRowsError  what polling has seen cannot be read or kept
"""

from __future__ import annotations


class IntakeError(Exception):
    """Root of what the intake raises."""


class NotYetError(IntakeError):
    """The row is not there yet, or somebody else is changing it: the notification comes again later."""


class TooDeepError(IntakeError):
    """Steps and their write-backs set each other off without end. Dataverse stops its own plug-ins the same way."""


class SeenRowsError(IntakeError):
    """The file of what polling has seen is broken, full, or another poller's at the moment. Nothing of it is lost."""
