"""Runs all checks, in the order in which they depend on one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from azure_bridge.clock import SystemClock
from azure_bridge.secrets import SecretError
from dataverse_client.errors import InvalidRequestError
from runner.connection import connect, sign_in
from runner.doctor import dataverse, queues, stripe_account
from runner.doctor.diagnosis import Diagnosis, Health, failed, ok, skipped
from runner.registrations.deploy.endpoints import Site
from runner.registrations.load import RegistrationError, UnreadableRegistrationsError, load
from runner.service.stripe_access import stripe_access
from runner.settings import STRIPE_HOOK, Settings, SettingsError
from runner.tracing.recorder import Silence
from runner.wording import counted

if TYPE_CHECKING:
    from runner.registrations.model import Registrations

SETTINGS = "settings"
FILE = "registrations file"


def examine() -> Iterator[Diagnosis]:
    """The result of each check, as soon as there is one."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        for line in str(error).splitlines():
            yield failed(SETTINGS, line, "Correct it in the environment or in .env.")
        return
    yield ok(SETTINGS, "readable")
    said, registrations = _file(settings)
    yield said
    yield from _dataverse(settings, registrations)
    yield from _stripe(settings, registrations)
    for name in (settings.dataverse_events_queue, settings.payment_events_queue):
        yield queues.queue(settings, name)


def _file(settings: Settings) -> tuple[Diagnosis, Registrations | None]:
    file = settings.runner_registrations
    try:
        registrations = load(file)
    except RegistrationError as error:
        return failed(
            FILE, f"{file} has {counted(len(error.problems), 'problem')}", "See them with runner check."
        ), None
    except UnreadableRegistrationsError as error:
        return failed(FILE, error.finding, error.advice), None
    return ok(FILE, f"{file}: {counted(len(registrations.steps), 'step')}"), registrations


def _dataverse(settings: Settings, registrations: Registrations | None) -> Iterator[Diagnosis]:
    if settings.dataverse_url is None:
        yield skipped(dataverse.SIGN_IN, "DATAVERSE_URL is not set: Dataverse is embedded")
        return
    try:
        connected = connect(settings)
    except InvalidRequestError as error:
        yield failed(dataverse.SIGN_IN, str(error), "Correct DATAVERSE_URL.")
        return
    with connected as client:
        signed_in = dataverse.sign_in(client, sign_in(settings))
        yield signed_in
        if signed_in.health is not Health.OK or registrations is None:
            return
        yield from dataverse.tables(client, registrations)
        secrets = settings.secrets()
        try:
            key = secrets.resolve(next(iter(settings.dataverse_webhook_key), None))
            site = Site(settings.runner_public_url, key, settings.dataverse_url)
            yield dataverse.drift(client, registrations, site, secrets)
        except SecretError as error:
            yield failed(dataverse.REGISTRATIONS, str(error), "Set it, or correct the reference.")


def _stripe(settings: Settings, registrations: Registrations | None) -> Iterator[Diagnosis]:
    try:
        access = stripe_access(settings, settings.secrets(), SystemClock(), Silence())
    except (SecretError, SettingsError) as error:
        yield failed(stripe_account.KEY, str(error), "Set it, or correct the reference.")
        return
    with closing(access):
        if access.simulator is not None:
            yield skipped(stripe_account.KEY, "STRIPE_SECRET_KEY is not set: Stripe is the in-process simulator")
            return
        key = stripe_account.key(access.client)
        yield key
        if key.health is Health.OK and registrations is not None and registrations.bridge is not None:
            url, events = settings.runner_public_url, registrations.bridge.events
            yield from stripe_account.webhook(access.client, url, STRIPE_HOOK, events, access.webhook_secrets())
