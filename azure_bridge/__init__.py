"""Carries Stripe's events to the Dataverse rows they are about, by way of a durable queue.

:mod:`~azure_bridge.receiver` verifies a webhook and puts a :class:`~azure_bridge.payment_event.PaymentEvent` on a
queue of :mod:`~azure_bridge.queues`; :mod:`~azure_bridge.processor` takes it off and updates the row;
:mod:`~azure_bridge.reconcile` compares Stripe with Dataverse and repairs what events alone did not.
"""
