"""Asynchronous steps, and the one job there is."""

from __future__ import annotations

import pytest

from dataverse_client.types import QueryExpression


@pytest.fixture
def later(on):
    """``@later("Create")`` registers an asynchronous step."""
    return lambda message, **more: on(message, 40, mode=1, **more)


@pytest.fixture
def job_row(service):
    """The row of the only job."""

    def only_one():
        (row,) = service.retrieve_multiple(QueryExpression.of("asyncoperation"))
        return row

    return only_one
