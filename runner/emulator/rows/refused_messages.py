"""The messages that a table does not take from anybody."""

from __future__ import annotations

from runner.emulator.metadata.model import Table

_WRITES = frozenset({"Create", "Update", "Delete"})
_REFUSED = {
    # The trace log may be emptied.
    "plugintracelog": frozenset({"Create", "Update"}),
    "sdkmessage": _WRITES,
    "sdkmessagefilter": _WRITES,
    # Its one row can be changed.
    "organization": frozenset({"Create", "Delete"}),
}
#: Messages about a column.
_ABOUT = {"Assign": "ownerid", "SetState": "statecode", "SetStateDynamicEntity": "statecode"}


def refused_messages(table: Table) -> frozenset[str]:
    """What only the platform does to the table, and what the table has no column for."""
    refused = frozenset(message for message, column in _ABOUT.items() if column not in table.columns)
    if table.is_intersect:  # its rows come and go by association
        return refused | _WRITES
    return refused | _REFUSED.get(table.logical_name, frozenset())
