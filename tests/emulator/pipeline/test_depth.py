"""How deep calls may nest, and what becomes of the one that goes too deep."""

from __future__ import annotations

import contextlib

import pytest
from emulator_samples import account

from runner.emulator.plugin_faults import SdkCorrelationTokenDepthTooHigh, TransactionNotStarted


@pytest.mark.behaviour(
    "Depth",
    "Eight levels of calls run; the first has depth 1",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth",
)
def test_eight_levels_run(service, on):
    depths = []

    @on("Create", 40)
    def nest(context):
        depths.append(context.depth)
        if context.depth < 8:
            context.organization.create(account())

    service.create(account())
    assert depths == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.behaviour(
    "Depth",
    "The ninth level is refused with 0x80044182, and everything is undone",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth",
)
def test_the_ninth_level_is_refused_and_everything_undone(service, on, names):
    depths = []

    @on("Create", 40)
    def nest(context):
        depths.append(context.depth)
        context.organization.create(account())

    with pytest.raises(SdkCorrelationTokenDepthTooHigh) as raised:
        service.create(account())
    assert raised.value.code == 0x80044182
    assert (depths[-1], names()) == (8, [])


@pytest.mark.behaviour("Depth", "A step that updates its own row without end is refused, and the row stays", "common")
def test_a_step_that_wakes_itself_without_end_is_refused(service, on, names):
    id = service.create(account())
    on("Update", 40)(lambda context: context.organization.update(account("Again", id)))
    with pytest.raises(SdkCorrelationTokenDepthTooHigh):
        service.update(account("Other", id))
    assert names() == ["Contoso"]


@pytest.mark.behaviour("Depth", "Swallowing the depth error ends the transaction as any other", "bulk-operations")
def test_the_depth_error_cannot_be_swallowed(service, on, names):
    @on("Create", 40)
    def nest(context):
        with contextlib.suppress(SdkCorrelationTokenDepthTooHigh):
            context.organization.create(account())

    with pytest.raises(TransactionNotStarted):
        service.create(account())
    assert names() == []
