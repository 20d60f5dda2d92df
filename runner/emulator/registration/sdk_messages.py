"""Writes ``sdkmessage`` and ``sdkmessagefilter``: the messages, and the tables on which they take steps.

Ids are the same in every environment: the platform's own if they are known, otherwise derived from the names.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessagefilter
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

from runner.emulator.metadata.model import Metadata, Ownership, Table
from runner.emulator.metadata.stable_ids import stable_id
from runner.emulator.registration.custom_api_rows import step_refusal
from runner.emulator.storage.store import Store
from runner.execution.step import Stage, Step, StepError
from runner.registrations.messages import MESSAGES, WITHOUT_STEPS

_PLATFORM_SUFFIX = "-ea3e-db11-86a7-000a3a5473e8"
_PLATFORM_IDS = {
    "create": "9ebdbb1b",
    "delete": "a1bdbb1b",
    "execute": "a6bdbb1b",
    "setstate": "1cbebb1b",
    "setstatedynamicentity": "1dbebb1b",
    "update": "20bebb1b",
    "create/account": "c2c5bb1b",
}

_EVERY_TABLE = ("Create", "Update", "Delete", "Retrieve", "RetrieveMultiple", "CreateMultiple", "UpdateMultiple")
_WITH_OWNER = ("Assign",)
_WITH_STATE = ("SetState", "SetStateDynamicEntity")
_WITH_MASTER = ("Merge",)
_ON_ONE_TABLE = {"team": ("AddMembers", "RemoveMembers"), "transactioncurrency": ("RetrieveExchangeRate",)}
#: On standard tables these run the steps of Create and Update, and none of their own.
_WITHOUT_CUSTOM_STEPS = ("Upsert", "UpsertMultiple")

#: Tables with the platform's own steps, traces and files.
_CLOSED_TABLES = frozenset(
    {
        "asyncoperation",
        "fileattachment",
        "plugintracelog",
        "pluginassembly",
        "plugintype",
        "sdkmessage",
        "sdkmessagefilter",
        "sdkmessageprocessingstep",
        "sdkmessageprocessingstepimage",
        "sdkmessageprocessingstepsecureconfig",
        "serviceendpoint",
        "customapi",
        "customapirequestparameter",
        "customapiresponseproperty",
    }
)


def message_id(name: str) -> str:
    """The ``sdkmessageid`` of a message, whatever the capitalization of its name."""
    return _id("sdkmessage", name.lower())


def filter_id(message: str, table: str) -> str:
    """The ``sdkmessagefilterid`` of a message on a table."""
    return _id("sdkmessagefilter", f"{message.lower()}/{table}")


@cache
def _id(kind: str, name: str) -> str:
    known = _PLATFORM_IDS.get(name)
    return f"{known}{_PLATFORM_SUFFIX}" if known else stable_id(kind, name)


class SdkMessages:
    """The rows of both tables. As they are the platform's, they are written without pipeline or rules."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def follow_metadata(self) -> None:
        """Write a row for each message, and a filter for each message of each table."""
        self._add_messages(MESSAGES)
        metadata = self._store.metadata
        self._add_filters(row for table in metadata.tables.values() for row in _filters(table))
        self._forget_tables_but(metadata)

    def check(self, step: Step) -> None:
        """Raises StepError when its stage is the platform's, or its message, table or column does not exist."""
        tables = self._store.metadata.tables
        if step.stage == Stage.MAIN_OPERATION:
            raise StepError(f"Step {step.name!r}: stage 30 is the platform's own. Use 10, 20 or 40 (0x80044184).")
        if not self._knows(step.message):
            raise StepError(
                f"Step {step.name!r}: there is no message {step.message!r} (0x80040217). Register the custom API of "
                "that name before its steps, or name another message."
            )
        refusal = step_refusal(self._store, step.message, step.mode)
        if refusal is not None:
            raise StepError(f"Step {step.name!r}: {refusal} (0x80044187).")
        if step.entity is None:
            return
        if step.entity not in tables:
            raise StepError(
                f"Step {step.name!r}: there is no table {step.entity!r} here (0x80041102). Create it first, or "
                "describe it under tables in registrations.yaml; an alias of another is given there under entities."
            )
        if not _may_listen(step.message, tables[step.entity]):
            raise StepError(f"Step {step.name!r}: no custom step runs on {step.message} of {step.entity} (0x80044187).")
        listed = {*step.filtering_attributes, *(name for image in step.images for name in image.columns or ())}
        for column in sorted(listed - tables[step.entity].columns.keys()):
            raise StepError(
                f"Step {step.name!r}: the table {step.entity!r} has no column {column!r} (0x80041103). Correct the "
                "name, or describe the column under tables in registrations.yaml."
            )

    def _knows(self, message: str) -> bool:
        id = message_id(message)
        return self._store.execute("SELECT 1 FROM sdkmessage WHERE sdkmessageid = ?", (id,)).fetchone() is not None

    def message(self, name: str) -> str:
        """The id of a message's row, which is created if it is missing: that of a custom API."""
        self._add_messages((name,))
        return message_id(name)

    def filter(self, message: str, table: str) -> str:
        """The id of a filter's row, which is created if it is missing: that of a message few tables have."""
        self._add_messages((message,))
        self._add_filters([(message, table, True)])
        return filter_id(message, table)

    def _add_messages(self, names: Iterable[str]) -> None:
        """Insert the rows of messages that do not exist yet."""
        for name in names:
            self._insert(
                "sdkmessage", message_id(name), {"name": name, "isactive": 1, "isprivate": 0, "autotransact": 1}
            )

    def _add_filters(self, filters: Iterable[tuple[str, str, bool]]) -> None:
        for message, table, allowed in filters:
            columns: dict[str, str | int] = {
                "sdkmessageid": message_id(message),
                "primaryobjecttypecode": table,
                "secondaryobjecttypecode": "none",
                "iscustomprocessingstepallowed": int(allowed),
                "isvisible": int(allowed),
            }
            self._insert("sdkmessagefilter", filter_id(message, table), columns)

    def _insert(self, table: str, id: str, columns: dict[str, str | int]) -> None:
        names = ", ".join((f"{table}id", *columns, "availability", "customizationlevel", "versionnumber"))
        marks = ", ".join("?" * (len(columns) + 1))
        sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks}, 0, 0, ?)"  # noqa: S608 - names of ours
        self._store.execute(sql, (id, *columns.values(), self._store.next_version()))

    def _forget_tables_but(self, metadata: Metadata) -> None:
        """Delete the filters of deleted tables, and the steps registered on them."""
        tables = {row[0] for row in self._store.execute("SELECT DISTINCT primaryobjecttypecode FROM sdkmessagefilter")}
        for gone in tables - metadata.tables.keys():
            filters = "SELECT sdkmessagefilterid FROM sdkmessagefilter WHERE primaryobjecttypecode = ?"
            self._store.execute(
                f"DELETE FROM sdkmessageprocessingstep WHERE sdkmessagefilterid IN ({filters})",  # noqa: S608
                (gone,),
            )
            self._store.execute("DELETE FROM sdkmessagefilter WHERE primaryobjecttypecode = ?", (gone,))


def _filters(table: Table) -> Iterator[tuple[str, str, bool]]:
    """The filters of a table: message, table, and whether custom steps are allowed."""
    if table.is_intersect:
        return
    name, is_open = table.logical_name, table.logical_name not in _CLOSED_TABLES
    messages = [*_EVERY_TABLE]
    messages += _WITH_OWNER if table.ownership is Ownership.USER else ()
    messages += _WITH_STATE if "statecode" in table.columns else ()
    messages += _WITH_MASTER if "masterid" in table.columns else ()
    messages += _ON_ONE_TABLE.get(name, ())
    yield from ((message, name, is_open) for message in messages)
    yield from ((message, name, False) for message in _WITHOUT_CUSTOM_STEPS)


def _may_listen(message: str, table: Table) -> bool:
    """Whether custom steps are allowed on a message of the table. Custom APIs have rules of their own."""
    allowed = {name.lower(): is_open for name, _, is_open in _filters(table)}
    return allowed.get(message.lower(), message.lower() not in _ON_SOME_TABLES)


def allows_steps(message: str) -> bool:
    """Whether custom steps are allowed on the message at all."""
    return message.lower() not in _NEVER


#: Intersect tables can be read, and neither written nor merged.
_WRITES = tuple(message for message in _EVERY_TABLE if not message.startswith("Retrieve"))
_ON_SOME_TABLES = frozenset(
    map(str.lower, chain(_WRITES, _WITH_OWNER, _WITH_STATE, _WITH_MASTER, *_ON_ONE_TABLE.values()))
)
_NEVER = frozenset(map(str.lower, WITHOUT_STEPS))
