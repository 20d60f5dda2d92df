"""Finds what steps need of an environment that it has not got, so that a plan says what apply would be refused.

Beyond what a plan reads anyway it costs a request for each table whose columns are named, and one for all users.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
  https://learn.microsoft.com/power-apps/developer/data-platform/impersonate-a-user
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from runner.registrations.deploy.custom_apis import ASYNCHRONOUS_ONLY, NO_STEPS
from runner.registrations.deploy.environment import read_users
from runner.registrations.deploy.rows import Listening, listed
from runner.registrations.deploy.schema import table_metadata
from runner.registrations.identity import MAX_NAME
from runner.registrations.model import ASYNCHRONOUS
from runner.registrations.problems import nearest

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient
    from dataverse_client.metadata import TableMetadata
    from dataverse_client.types import EntityReference
    from runner.registrations.deploy.environment import Listener
    from runner.registrations.deploy.rows import Row
    from runner.registrations.deploy.steps import RemoteStep


def unmet(
    client: DataverseClient,
    steps: Collection[RemoteStep],
    listeners: Mapping[Listening, Listener],
    others_apis: Mapping[str, Row],
) -> Iterator[str]:
    """One sentence for each thing a step needs and the environment lacks.

    ``others_apis`` are custom APIs that somebody else declared there, by unique name in lower case.

    Raises:
      DataverseError: the environment cannot be read.
    """
    users = read_users(client, {user.id for step in steps if (user := _user(step))})
    for step in steps:
        api = others_apis.get(step.listening.message.lower())
        lacking = (
            _listener(step, listeners),
            _custom_api(step, api) if api else (),
            _columns(client, step),
            _impersonated(step, users),
        )
        yield from (f"{step.row.name}: {each}" for each in chain.from_iterable(lacking))
        yield from _name(step)


def _listener(step: RemoteStep, listeners: Mapping[Listening, Listener]) -> Iterator[str]:
    listener = listeners.get(step.listening)
    if listener is None:
        yield f"the environment has no such message or table. {_advice(step.listening)}"
    elif not listener.allowed:
        yield f"the environment lets no custom step listen to {step.listening}. Remove the step."


def _advice(listening: Listening) -> str:
    if "_" in listening.message:
        return f"Create the custom API {listening.message}, here under custom_apis or there, or remove the step."
    if listening.table and "_" in listening.table:
        return "Is the table's solution imported? runner apply --schema makes the tables of this product."
    return "Remove the step, or name another table."


def _custom_api(step: RemoteStep, api: Row) -> Iterator[str]:
    """Whoever declared it decides which steps it takes."""
    takes = api.columns.get("allowedcustomprocessingsteptype")
    if takes is not None and takes.value == NO_STEPS:
        yield f"the custom API {step.listening.message} takes no steps. Remove the step."
    elif takes is not None and takes.value == ASYNCHRONOUS_ONLY and step.row.columns["mode"].value != ASYNCHRONOUS:
        yield f"the custom API {step.listening.message} takes asynchronous steps only. Use delivery: deferred."


def _columns(client: DataverseClient, step: RemoteStep) -> Iterator[str]:
    """Those that the filter and the images name; of a step of every table nothing can be said."""
    named = {"filtering_attributes": listed(step.row.columns.get("filteringattributes"))}
    named |= {f"image {image.name}": listed(image.columns.get("attributes")) for image in step.images}
    table = step.listening.table
    metadata = table_metadata(client, table) if table and any(named.values()) else None
    if metadata is None:
        return
    for place, columns in named.items():
        for column in sorted(columns - metadata.attribute_types.keys()):
            yield f"{place} names {column}, and {table} has no such column. {_meant(column, metadata)}"


def _meant(column: str, table: TableMetadata) -> str:
    if match := nearest(column, table.attribute_types):
        return f"Did you mean {match}?"
    return "Add the column there, or remove it here; runner apply --schema adds the columns of this product."


def _impersonated(step: RemoteStep, users: Collection[str]) -> Iterator[str]:
    user = _user(step)
    if user and user.id not in users:
        yield f"run_as names the user {user.id}, whom the environment has not got. Give a systemuserid of its own."


def _user(step: RemoteStep) -> EntityReference | None:
    user: EntityReference | None = step.row.columns.get("impersonatinguserid")
    return user


def _name(step: RemoteStep) -> Iterator[str]:
    name = step.row.name
    if len(name) > MAX_NAME:
        yield (
            f"{name[:60]}...: Dataverse's name for the step, <name>: {step.listening}, has {len(name)} characters of "
            f"at most {MAX_NAME}. Shorten its name."
        )
