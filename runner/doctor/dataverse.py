"""Checks of Dataverse: signing in, the tables and columns that are needed, and the registrations."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Any

from azure_bridge.secrets import Secrets
from dataverse_client.errors import AccessDeniedError, AuthenticationError, DataverseError
from dataverse_client.sign_in import Application, ManagedIdentity, SignIn
from runner.doctor.diagnosis import Diagnosis, failed, ok, warning
from runner.registrations.deploy.endpoints import Site
from runner.registrations.deploy.plan import make_plan
from runner.registrations.deploy.problems import DeployError, UndeployableError
from runner.registrations.deploy.schema import PRODUCT_TABLES, table_metadata
from runner.wording import counted

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient
    from runner.registrations.model import Registrations, StepRegistration

SIGN_IN = "Dataverse sign-in"
TABLES = "tables"
REGISTRATIONS = "registrations"

_ADVICE: dict[type[Any], str] = {
    NoneType: "Set DATAVERSE_AUTH and what it needs.",
    Application: "Check the tenant, the client id, and when the secret or certificate expires.",
    ManagedIdentity: "Assign the identity to this app or machine; name a user-assigned one with AZURE_CLIENT_ID.",
}


def sign_in(client: DataverseClient, identity: SignIn | None) -> Diagnosis:
    """Whether we can sign in, and as which user."""
    try:
        me = client.who_am_i()
    except AuthenticationError as error:
        return failed(SIGN_IN, str(error), _ADVICE[type(identity)])
    except AccessDeniedError as error:
        advice = f"Add {identity} as an application user of this environment, and give it a security role."
        return failed(SIGN_IN, str(error), advice)
    except DataverseError as error:
        return failed(SIGN_IN, str(error), "Check DATAVERSE_URL, and whether the environment is up.")
    how = f"by {identity}" if identity else "without signing in"
    return ok(SIGN_IN, f"user {me.user_id} of organization {me.organization_id}, {how}")


def tables(client: DataverseClient, registrations: Registrations) -> Iterator[Diagnosis]:
    """Whether the environment has every table and column that the file names."""
    needed = needed_columns(registrations)
    for table, columns in sorted(needed.items()):
        yield _table(client, table, columns)


def _table(client: DataverseClient, table: str, columns: set[str]) -> Diagnosis:
    try:
        metadata = table_metadata(client, table)
    except DataverseError as error:
        return failed(TABLES, f"{table}: {error}", "Give the application user the privilege to read customizations.")
    if metadata is None:
        return failed(TABLES, f"there is no table {table}", f"{_maker(table)}, or correct its name in the file.")
    absent = sorted(columns - metadata.attribute_types.keys())
    if absent:
        advice = f"{_maker(table)}, or correct the names in the file."
        return failed(TABLES, f"{table} lacks {', '.join(absent)}", advice)
    return ok(TABLES, f"{table} has the {counted(len(columns), 'column')} in use" if columns else f"{table} is there")


def _maker(table: str) -> str:
    """What makes a table and its columns."""
    return "Run runner apply --schema" if table in PRODUCT_TABLES else "Import the solution that has them"


def needed_columns(registrations: Registrations) -> dict[str, set[str]]:
    """The columns of each table that the bridge writes, or that steps filter on or have in images."""
    needed: dict[str, set[str]] = {}
    for step in registrations.steps:
        if step.entity is not None:
            needed.setdefault(registrations.logical_name(step.entity), set()).update(_named(step))
    for table in registrations.bridge.tables if registrations.bridge else ():
        written = (column for column in table.columns.model_dump().values() if column is not None)
        needed.setdefault(registrations.logical_name(table.entity), set()).update(written)
    return needed


def _named(step: StepRegistration) -> Iterator[str]:
    yield from step.filtering_attributes
    for image in step.images:
        yield from image.attributes


def drift(client: DataverseClient, registrations: Registrations, site: Site, secrets: Secrets) -> Diagnosis:
    """Whether the steps of the file are registered in the environment as the file has them."""
    try:
        plan = make_plan(registrations, client, site, secrets)
    except UndeployableError as error:
        first, *others = error.problems
        more = f" And {len(others)} more." if others else ""
        return failed(REGISTRATIONS, f"{first.splitlines()[0].rstrip(':')}{more}", "See runner plan.")
    except DeployError as error:
        return failed(REGISTRATIONS, str(error), "Change the file or the environment.")
    except DataverseError as error:
        return failed(REGISTRATIONS, str(error), "Give the application user the privilege to read plug-in steps.")
    if not plan:
        return ok(REGISTRATIONS, f"{counted(len(registrations.steps), 'step')} registered as the file says")
    finding = f"the environment differs from the file in {counted(len(plan.changes), 'row')}"
    if all(change.obsolete for change in plan.changes):
        return warning(REGISTRATIONS, f"{finding}: it no longer has them", "Run runner apply --prune.")
    return failed(REGISTRATIONS, finding, "See them with runner plan; put them right with runner apply.")
