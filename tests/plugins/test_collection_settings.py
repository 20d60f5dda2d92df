"""A step's configuration is checked when the step is loaded, and says what would be right."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from plugins.configuration import Collect, ConfigurationError, read_settings
from plugins.order_payments import UpdateOrderPayments
from plugins.payment_intents import CreatePaymentIntent, UpdatePaymentIntent
from plugins.templates import TemplateConfigurationError, TextTemplate
from runner.plugin import InvalidPluginExecutionException


@pytest.mark.parametrize(
    ("configuration", "what_is_wrong"),
    [
        ({"colect": "intent"}, "Unknown configuration key 'colect'. Did you mean 'collect'?"),
        ({"zzz": 1}, "Unknown configuration key 'zzz'. Known keys: collect, rounding"),
        ({"collect": "cash"}, "collect is 'cash'; it can be intent, checkout."),
        ({"capture_method": "later"}, "it can be automatic, automatic_async, manual."),
        ({"rounding": "up"}, "it can be refuse, half_up."),
        ({"collect": "checkout"}, "collect: checkout needs success_url"),
        ({"success_url": "shop.example.com"}, "write an https:// address"),
        ({"allowed_payment_method_types": "card"}, "write a list such as"),
        ({"description": 7}, "description is 7; write a text"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(configuration, what_is_wrong) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_settings(configuration)
    assert what_is_wrong in str(refused.value)


@pytest.mark.parametrize("plugin", [CreatePaymentIntent, UpdatePaymentIntent, UpdateOrderPayments])
def test_every_plugin_refuses_it_when_it_is_made(plugin) -> None:
    with pytest.raises(ConfigurationError):
        plugin({"colect": "intent"})


def test_nothing_needs_to_be_configured() -> None:
    assert read_settings({}).collect is Collect.INTENT


@pytest.mark.parametrize(
    ("source", "what_is_wrong"),
    [
        ("{{ row.name ", "description is no template"),
        ("{{ order.name }}", "description speaks of order; a template knows amount, currency, row"),
        ("{% include 'x' %}{{ now }}", "speaks of now"),
    ],
)
def test_a_template_that_can_never_be_filled_is_refused(source, what_is_wrong) -> None:
    with pytest.raises(TemplateConfigurationError, match=what_is_wrong):
        TextTemplate("description", source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Invoice {{ row.new_name }}", "Invoice 7"),
        ("{{ row.ordernumber or row.new_name }}", "7"),
        ("[{{ row.ordernumber }}]", "[]"),
        ("{{ row.new_amount }} of {{ amount }} {{ currency }}", "20.00 of 19.99 USD"),
        ("{{ row.new_customerid }} {{ row.new_paymentstatus }}", "Contoso 100000001"),
        ("  {{ row.new_name | upper }}  ", "7"),
    ],
)
def test_a_template_is_filled_from_the_row(source, text) -> None:
    row = Entity(
        "new_payment",
        attributes={
            "new_name": "7",
            "new_amount": Money(Decimal("20.00")),
            "new_customerid": EntityReference("account", name="Contoso"),
            "new_paymentstatus": OptionSetValue(100_000_001),
        },
    )
    assert TextTemplate("description", source).fill(row, Decimal("19.99"), "USD") == text


@pytest.mark.parametrize("source", ["{{ row.new_name + 1 }}", "{{ row.__class__.__mro__ }}", "{{ row.new_name / 0 }}"])
def test_a_template_that_does_not_fit_the_row_is_refused_by_name(source) -> None:
    with pytest.raises(InvalidPluginExecutionException, match="The description for Stripe cannot be made"):
        TextTemplate("description", source).fill(Entity("new_payment", attributes={"new_name": "7"}), Decimal(1), "USD")
