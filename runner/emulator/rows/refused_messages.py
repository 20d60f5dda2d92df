"""The messages that a table does not support."""

from __future__ import annotations

from runner.emulator.metadata.model import Table

_WRITES = frozenset({"Create", "Update", "Delete"})
_REFUSED = {
    # Traces can be deleted.
    "plugintracelog": frozenset({"Create", "Update"}),
    # Its rows follow the file columns.
    "fileattachment": _WRITES,
    "sdkmessage": _WRITES,
    "sdkmessagefilter": _WRITES,
    # The only row can be updated.
    "organization": frozenset({"Create", "Delete"}),
}
#: Messages that need a column.
_ABOUT = {
    "Assign": "ownerid",
    "SetState": "statecode",
    "SetStateDynamicEntity": "statecode",
    "IsValidStateTransition": "statecode",
    "Merge": "masterid",
}


def refused_messages(table: Table) -> frozenset[str]:
    """The messages that only the platform may execute on the table, or for which it has no column."""
    refused = frozenset(message for message, column in _ABOUT.items() if column not in table.columns)
    if table.is_intersect:  # its rows are written by Associate and Disassociate
        return refused | _WRITES
    return refused | _REFUSED.get(table.logical_name, frozenset())
