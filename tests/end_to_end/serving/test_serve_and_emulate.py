"""From a row created in one process to its intent, and back from the money to the row, over real HTTP."""

from __future__ import annotations

import json
from decimal import Decimal

from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.embedded import EmbeddedQueue
from dataverse_client.types import Money, OptionSetValue
from plugins.payment_tables import PaymentStatus

SERVICE_BUS_REGISTRATIONS = """
steps:
  - name: "Payment: create the intent"
    plugin: plugins.payment_intents:CreatePaymentIntent
    message: Create
    entity: new_payment
    stage: 20
    endpoint: bus
endpoints:
  bus:
    type: service-bus-queue
    namespace: contoso.servicebus.windows.net
    queue: dataverse-events
    shared_access_key_name: send
    shared_access_key: ${env:SEND_KEY}
"""


def test_deferred_an_intent_for_the_row_and_a_status_for_the_money(world) -> None:
    """Given the shipped registrations, applied to an environment elsewhere."""
    serve = world.serve()
    world.run("apply", "--yes", RUNNER_PUBLIC_URL=serve.url)
    payment_id = world.create_payment("19.99")

    intent = world.intent_of(payment_id)
    assert (intent["amount"], intent["metadata"]["CRM_PaymentId"]) == (1999, payment_id)
    world.pay(intent["id"], serve.url)

    completed = OptionSetValue(PaymentStatus.COMPLETED)
    world.until(lambda: world.payment(payment_id).get("new_paymentstatus") == completed)
    assert world.payment(payment_id)["new_amountreceived"] == Money(Decimal("19.99"))
    assert len(world.simulator.payment_intents) == 1
    assert serve.stop() == 0


def test_by_service_bus_dataverse_fills_the_queue_itself(world) -> None:
    """The messages for the namespace go to the queue of that name, here the embedded one."""
    registrations = world.directory / "bus.yaml"
    registrations.write_text(SERVICE_BUS_REGISTRATIONS)
    world.run("apply", "--yes", registrations=registrations, SEND_KEY="a key of this test")
    world.serve(registrations=registrations, SEND_KEY="a key of this test")
    assert world.intent_of(world.create_payment("19.99"))["amount"] == 1999


def test_by_polling_a_row_nobody_told_of_gets_its_intent(world) -> None:
    world.serve()
    world.run("poll", "--once")
    payment_id = world.create_payment("19.99")
    found = world.run("poll", "--once", "--json", "--table", "new_payment")
    assert json.loads(found) == {"new_payment": 1}
    assert world.intent_of(payment_id)["amount"] == 1999


def test_workers_of_their_own_handle_what_a_server_without_any_received(world) -> None:
    serve = world.serve("--no-workers")
    world.register_step(world.register_webhook(serve.url), "Create")
    payment_id = world.create_payment("19.99")
    work = world.start("work", "--quiet")
    assert world.intent_of(payment_id)["amount"] == 1999
    assert work.stop() == 0


def test_what_dataverse_itself_put_on_a_queue_is_listened_to(world) -> None:
    payment_id = world.create_payment("19.99")
    queue = EmbeddedQueue(world.data / "queue.db", "from-dataverse")
    queue.send([QueueMessage(world.notification("Create", payment_id, "19.99"), "an id of Service Bus")])
    queue.close()
    listen = world.start("listen", "--queue", "from-dataverse", "--quiet")
    assert world.intent_of(payment_id)["amount"] == 1999
    assert listen.stop() == 0
