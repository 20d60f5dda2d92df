"""An embedded Dataverse for each test, and plug-ins written as functions."""

from __future__ import annotations

import pytest
from small_plugins import Do

from dataverse_client.types import FetchExpression, OrganizationRequest, QueryExpression
from runner.emulator.emulator import Emulator
from runner.execution.step import Step


@pytest.fixture
def crm(clock):
    """An emulator without steps."""
    with Emulator(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def service(crm):
    return crm.service()


@pytest.fixture
def send(crm):
    """``send("Assign", Target=..., Assignee=...)`` answers the results."""

    def execute(message, **parameters):
        return crm.execute(OrganizationRequest(message, parameters)).results

    return execute


@pytest.fixture
def on(crm):
    """``@on("Create", stage=20)`` registers the function below it as a plug-in's work on accounts."""

    def registered(message, stage, entity="account", **more):
        def register(work):
            crm.register(Step(plugin=Do(work), message=message, entity=entity, stage=stage, **more))
            return work

        return register

    return registered


@pytest.fixture
def names(service):
    """The names of the accounts there are."""

    def of(entity="account", column="name"):
        return sorted(row[column] for row in service.retrieve_multiple(QueryExpression.of(entity)))

    return of


@pytest.fixture
def fetch(service):
    """The collection a FetchXML text asks for."""

    def ask(xml):
        request = OrganizationRequest("RetrieveMultiple", {"Query": FetchExpression(xml)})
        return service.execute(request).results["BusinessEntityCollection"]

    return ask
