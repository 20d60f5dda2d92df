"""What ``context.service`` finds."""

from __future__ import annotations

from typing import Protocol

import pytest

from runner.execution.services import Services


class Mailer(Protocol):
    def send(self, text: str) -> None: ...


class Mailbox:
    def send(self, text: str) -> None: ...


def test_an_object_that_only_behaves_like_the_type_is_provided_as_it_is():
    mailbox = Mailbox()
    assert Services({Mailer: mailbox}).provide(Mailer) is mailbox


def test_a_function_makes_the_service_once():
    services = Services({Mailbox: Mailbox})
    assert services.provide(Mailbox) is services.provide(Mailbox)


def test_a_service_nobody_offers_is_named_with_those_there_are():
    with pytest.raises(LookupError, match=r"No str is provided here \(services: Mailbox\)"):
        Services({Mailbox: Mailbox}).provide(str)
