"""The pytest plug-in. Override ``registrations``, ``clock``, ``back_off`` or ``plugin_services`` in your conftest."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# pytest imports this module in every run of every project with this package, so fixtures import what they need.
if TYPE_CHECKING:
    from azure_bridge.clock import ManualClock
    from azure_bridge.secrets import Secrets
    from azure_bridge.tables import BridgeConfiguration
    from runner.emulator.metadata.model import Metadata
    from runner.registrations.model import Registrations
    from runner.simulation.environment import EmbeddedEnvironment
    from runner.stripe_simulator import StripeSimulator
    from runner.testing.bridge import Bridge
    from runner.testing.crm import Crm


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("runner_registrations", "The registrations file of the fixtures.", default="registrations.yaml")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For a failed test that uses ``crm``, report the plug-ins that ran, and hide the runner's own frames."""
    crm = getattr(item, "funcargs", {}).get("crm")
    if crm is None or call.excinfo is None or call.when != "call":
        return (yield)
    from runner.testing.crm import Crm
    from runner.testing.reports import runner_frames_hidden, summary_of

    if not isinstance(crm, Crm):  # a fixture of somebody else's
        return (yield)
    with runner_frames_hidden():
        report = yield
    if report.failed and crm.executions:
        report.sections.append(("Plug-ins that ran", summary_of(crm.executions)))
    return report


@pytest.fixture
def registrations(pytestconfig: pytest.Config) -> Path:
    """The registrations file: ``runner_registrations`` of the pytest settings."""
    return pytestconfig.rootpath / str(pytestconfig.getini("runner_registrations"))


@pytest.fixture
def clock() -> ManualClock:
    """The clock of all fixtures: ``clock.advance(timedelta(days=3))``."""
    from azure_bridge.clock import ManualClock

    return ManualClock()


@pytest.fixture
def back_off() -> bool:
    """Whether retries wait for ``clock``. False unless overridden."""
    return False


@pytest.fixture
def plugin_services() -> Mapping[type, Any]:
    """What plug-ins get from ``context.service``, by type, besides Stripe's client or in its place. Made to override.

    Each is the object itself, or a function that makes it when it is first asked for.
    """
    return {}


@pytest.fixture
def stripe_simulator(clock: ManualClock) -> StripeSimulator:
    """Stripe in test mode, in process, with its customers and banks: ``stripe_simulator.pay(intent_id)``."""
    from runner.stripe_simulator import StripeSimulator

    return StripeSimulator(clock=clock, seed=0)


@pytest.fixture
def embedded_environment(
    registrations: Path,
    clock: ManualClock,
    stripe_simulator: StripeSimulator,
    back_off: bool,
    plugin_services: Mapping[type, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EmbeddedEnvironment]:
    """CRM, client, queue and bridge as in production. Plug-ins are looked for beside ``registrations`` first."""
    import os

    import stripe

    from azure_bridge.secrets import Secrets
    from runner.emulator.custom_api import custom_apis_from
    from runner.execution.load import steps_from
    from runner.simulation.environment import EmbeddedEnvironment

    secrets = Secrets.from_environment(os.environ)
    registered = _registered(registrations)
    monkeypatch.syspath_prepend(str(Path(registrations).resolve().parent))
    with _failing_in_words():
        environment = EmbeddedEnvironment(
            steps_from(registered, secrets),
            _bridge_configuration(registered, secrets),
            directory=tmp_path,
            webhook_secret=stripe_simulator.webhook_secret,
            services={stripe.StripeClient: stripe_simulator.client(max_network_retries=2), **plugin_services},
            custom_apis=custom_apis_from(registered, secrets),
            clock=clock,
            metadata=_described(Path(registrations), Path(registrations).stat().st_mtime_ns),
            back_off=back_off,
        )
    yield environment
    environment.close()


@pytest.fixture
def crm(embedded_environment: EmbeddedEnvironment) -> Crm:
    """An embedded Dataverse with the steps of ``registrations``."""
    from runner.testing.crm import Crm

    return Crm(embedded_environment.crm)


@pytest.fixture
def bridge(registrations: Path, embedded_environment: EmbeddedEnvironment, stripe_simulator: StripeSimulator) -> Bridge:
    """Delivers Stripe's events to the rows: ``bridge.deliver()``."""
    from runner.testing.bridge import Bridge

    if _registered(registrations).bridge is None:
        pytest.fail(
            f"{registrations} has no bridge section, so no Stripe event can be applied. Add one.", pytrace=False
        )
    return Bridge(embedded_environment, stripe_simulator)


def _registered(file: Path) -> Registrations:
    """The registrations in ``file``; the test fails when it cannot be read."""
    try:
        with _failing_in_words():
            return _load(Path(file), Path(file).stat().st_mtime_ns)
    except OSError as error:
        advice = "Set runner_registrations in the pytest settings, or override the fixture registrations."
        told = f"{file} cannot be read: {error.strerror}. {advice}"
        raise pytest.fail.Exception(told, pytrace=False) from None


@contextmanager
def _failing_in_words() -> Iterator[None]:
    """Errors in registrations fail the test with their message alone, without a traceback."""
    from azure_bridge.secrets import SecretError, SecretNotFoundError
    from runner.execution.step import StepError
    from runner.registrations.plugins import PluginLoadError
    from runner.registrations.problems import RegistrationError

    try:
        yield
    except (PluginLoadError, RegistrationError, SecretError, StepError) as error:
        advice = " Tests do not read .env: set it in an autouse fixture, with monkeypatch.setenv."
        told = f"{error}{advice if isinstance(error, SecretNotFoundError) else ''}"
        raise pytest.fail.Exception(told, pytrace=False) from None


def _bridge_configuration(registered: Registrations, secrets: Secrets) -> BridgeConfiguration:
    from azure_bridge.tables import NO_BRIDGE

    return registered.to_bridge_configuration(secrets) if registered.bridge else NO_BRIDGE


@lru_cache(maxsize=8)
def _load(file: Path, modified: int) -> Registrations:
    """The registrations in ``file``, read once per version of the file instead of once per test."""
    from runner.registrations.load import load

    return load(file)


@lru_cache(maxsize=8)
def _described(file: Path, modified: int) -> Metadata:
    """The tables of an environment with the registrations in ``file``, made as seldom."""
    from runner.emulator.metadata.described import metadata_for

    return metadata_for(_load(file, modified))
