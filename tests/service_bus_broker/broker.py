"""The AMQP side: connections, links and deliveries in front of the entities, on a thread of its own.

with Broker() as broker:
    broker.add_queue("payment-events")
    client = ServiceBusClient.from_connection_string(broker.connection_string)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from ports import kept_port
from proton import Condition, Connection, Delivery, Event, Handler, Link, Message, Terminus, int32, symbol
from proton.reactor import Container

from azure_bridge.clock import Clock, SystemClock
from service_bus_broker import wire
from service_bus_broker.entity import Entity, LockLost, Stored, new_queue
from service_bus_broker.management import answer, is_settlement

_CREDIT = 1000
#: How often the broker looks whether a schedule or a lock is due, and whether a fault is asked for. Seconds.
_TICK = 0.01
#: Seconds in which the broker's thread does what it is asked, on however busy a machine.
_PATIENCE = 60
_BATCH_LIMIT = 256 * 1024
_MANAGEMENT_SUFFIX = "/$management"


@dataclass(slots=True)
class Faults:
    """What goes wrong next. Each number counts down with every send or settlement it spoils."""

    busy_sends: int = 0
    #: Stored, but the connection is gone before the answer.
    lost_send_answers: int = 0
    #: Answered with ``released``, which the SDK cannot cope with.
    released_sends: int = 0
    #: Done, but the connection is gone before the answer.
    lost_settlement_answers: int = 0
    #: Before every answer to a send.
    delay: timedelta = timedelta(0)
    #: As some other brokers: no renewing, no peeking, no settling once the link is gone.
    no_management: bool = False

    def take(self, name: str) -> bool:
        left: int = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return left > 0


class Broker(Handler):
    """Entities that can be reached at ``connection_string`` while the broker runs."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or SystemClock()
        self.faults = Faults()
        self._closing = ExitStack()
        self.port = self._closing.enter_context(kept_port())
        self.transfers_seen = 0
        self._entities: dict[str, Entity] = {}
        self._topics: dict[str, list[Entity]] = {}
        self._connections: list[Connection] = []
        self._hungry: list[Link] = []
        self._responders: dict[tuple[Connection, str], Link] = {}
        self._orders: deque[Callable[[], None]] = deque()
        self._container = Container(self)
        self._acceptor: Any = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._container.run, name="service-bus-broker", daemon=True)

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=test;SharedAccessKey=c2VjcmV0;"
            "UseDevelopmentEmulator=true;"
        )

    def add_queue(self, name: str, **settings: Any) -> Entity:
        """``settings`` are those of :class:`Entity`. Adding a queue again leaves it as it is."""
        if name.lower() not in self._entities:
            self._add(new_queue(name, self.clock, **settings))
        return self._entities[name.lower()]

    def add_topic(self, name: str, *subscriptions: str, **settings: Any) -> list[Entity]:
        entities = [new_queue(f"{name}/Subscriptions/{each}", self.clock, **settings) for each in subscriptions]
        for entity in entities:
            self._add(entity)
        self._topics[name.lower()] = entities
        return entities

    def _add(self, entity: Entity) -> None:
        assert entity.dead_letters is not None
        self._entities[entity.name.lower()] = entity
        self._entities[entity.dead_letters.name.lower()] = entity.dead_letters

    def drop_connections(self) -> None:
        """Cut every connection without a word, as a network does."""
        self._order(lambda: [_cut(connection) for connection in list(self._connections)])

    def lose_locks(self) -> None:
        """Let every lock run out now."""
        self._order(lambda: [entity.lose_locks() for entity in list(self._entities.values())])

    def __enter__(self) -> Broker:
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise RuntimeError("The stand-in broker did not start.")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._order(self._shut_down)
        self._thread.join(_PATIENCE)
        self._closing.close()

    def _order(self, action: Callable[[], Any]) -> None:
        """Have the broker's thread do it, and wait for that."""
        done = threading.Event()
        self._orders.append(lambda: (action(), done.set()))  # type: ignore[arg-type, return-value]
        if not done.wait(_PATIENCE):
            raise RuntimeError("The stand-in broker does not react.")

    def _shut_down(self) -> None:
        self._acceptor.close()
        for connection in list(self._connections):
            _cut(connection)
        self._container.stop()

    # --- the reactor's events ------------------------------------------------------------------------------

    def on_reactor_init(self, event: Event) -> None:
        self._acceptor = self._container.listen(f"127.0.0.1:{self.port}")
        self._container.schedule(_TICK, self)
        self._started.set()

    def on_timer_task(self, event: Event) -> None:
        while self._orders:
            self._orders.popleft()()
        self._feed()
        self._container.schedule(_TICK, self)

    def on_connection_remote_open(self, event: Event) -> None:
        self._connections.append(event.connection)
        event.connection.container = "stand-in"
        event.connection.open()

    def on_session_remote_open(self, event: Event) -> None:
        event.session.open()

    def on_link_remote_open(self, event: Event) -> None:
        link = event.link
        link.node, link.entity = "", None
        if link.is_receiver:
            self._open_incoming(link)
        else:
            self._open_outgoing(link)

    def on_link_remote_close(self, event: Event) -> None:
        self._forget(event.link)
        event.link.close()

    def on_session_remote_close(self, event: Event) -> None:
        event.session.close()

    def on_connection_remote_close(self, event: Event) -> None:
        event.connection.close()

    def on_transport_closed(self, event: Event) -> None:
        connection = event.connection
        if connection in self._connections:
            self._connections.remove(connection)
        self._hungry = [link for link in self._hungry if link.connection != connection]
        self._responders = {key: link for key, link in self._responders.items() if key[0] != connection}

    def on_link_flow(self, event: Event) -> None:
        link = event.link
        if not link.is_sender:
            return
        if link.credit > 0 and link.entity is not None and link not in self._hungry:
            self._hungry.append(link)
        self._feed()
        if link.drain_mode:
            link.drained()

    def on_delivery(self, event: Event) -> None:
        delivery, link = event.delivery, event.link
        if link.is_sender:
            self._settle(delivery)
        elif delivery.readable and not delivery.partial:
            payload = link.recv(delivery.pending)
            link.advance()
            self._take(link, delivery, bytes(payload))
            link.flow(_CREDIT - link.credit)

    # --- links ---------------------------------------------------------------------------------------------

    def _open_incoming(self, link: Link) -> None:
        node = _node(link.remote_target.address)
        if not self._is_known(node):
            _refuse(link, node)
            return
        link.node = node
        entity = self._entities.get(node)
        _accept_link(link, entity.max_message_bytes if entity else _BATCH_LIMIT)
        link.flow(_CREDIT)

    def _open_outgoing(self, link: Link) -> None:
        node = _node(link.remote_source.address)
        if not self._is_known(node):
            _refuse(link, node)
            return
        link.node, link.entity = node, self._entities.get(node)
        if link.entity is None:
            self._responders[link.connection, node] = link
        _accept_link(link, 0)

    def _is_known(self, node: str) -> bool:
        if self.faults.no_management and node.endswith(_MANAGEMENT_SUFFIX):
            return False
        node = node.removesuffix(_MANAGEMENT_SUFFIX)
        return node == "$cbs" or node in self._entities or node in self._topics

    def _forget(self, link: Link) -> None:
        if link in self._hungry:
            self._hungry.remove(link)

    # --- messages in ---------------------------------------------------------------------------------------

    def _take(self, link: Link, delivery: Delivery, payload: bytes) -> None:
        if not link.node:
            delivery.settle()
        elif link.node == "$cbs":
            self._respond(link, delivery, _token_accepted(wire.decode(payload)))
        elif link.node.endswith(_MANAGEMENT_SUFFIX):
            self._manage(link, delivery, wire.decode(payload))
        elif self.faults.delay:
            seconds = self.faults.delay.total_seconds()
            self._container.schedule(seconds, _Later(lambda: self._store(link, delivery, payload)))
        else:
            self._store(link, delivery, payload)

    def _manage(self, link: Link, delivery: Delivery, request: Message) -> None:
        response = answer(self._entities[link.node.removesuffix(_MANAGEMENT_SUFFIX)], request)
        if is_settlement(request) and self.faults.take("lost_settlement_answers"):
            _cut(link.connection)
        else:
            self._respond(link, delivery, response)
        self._feed()

    def _respond(self, link: Link, delivery: Delivery, response: Message) -> None:
        _settle_as(delivery, Delivery.ACCEPTED)
        responder = self._responders.get((link.connection, link.node))
        if responder is not None:
            responder.send(response)

    def _store(self, link: Link, delivery: Delivery, payload: bytes) -> None:
        self.transfers_seen += 1
        if self.faults.take("busy_sends"):
            _reject(delivery, "com.microsoft:server-busy", "The stand-in is busy. Wait and retry.")
        elif self.faults.take("released_sends"):
            _settle_as(delivery, Delivery.RELEASED)
        elif len(payload) > self._limit(link.node):
            _reject(delivery, "amqp:link:message-size-exceeded", f"{len(payload)} bytes are too many.")
        else:
            for entity in self._topics.get(link.node) or [self._entities[link.node]]:
                for message in wire.unpack(payload):
                    wire.store(entity, message)
            if self.faults.take("lost_send_answers"):
                _cut(link.connection)
            else:
                _settle_as(delivery, Delivery.ACCEPTED)
            self._feed()

    def _limit(self, node: str) -> int:
        return self._entities[node].max_message_bytes if node in self._entities else _BATCH_LIMIT

    # --- messages out --------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Deliver what is ready to the links that have credit, in turn."""
        for link in list(self._hungry):
            while link.credit > 0 and (stored := link.entity.lock_next()) is not None:
                _deliver(link, stored)
            if link.credit <= 0:
                self._forget(link)

    def _settle(self, delivery: Delivery) -> None:
        if not delivery.updated and not delivery.settled:
            return
        entity: Entity = delivery.link.entity
        if entity is None:
            delivery.settle()
            return
        try:
            state = self._apply(entity, delivery)
        except LockLost:
            _reject(delivery, "com.microsoft:message-lock-lost", "The lock supplied is invalid.")
            return
        if self.faults.take("lost_settlement_answers"):
            _cut(delivery.connection)
            return
        _settle_as(delivery, state)
        self._feed()

    def _apply(self, entity: Entity, delivery: Delivery) -> Any:
        token, state = delivery.lock_token, delivery.remote_state
        if state == Delivery.ACCEPTED:
            entity.complete(token)
        elif state == Delivery.REJECTED:
            facts = (delivery.remote.condition.info if delivery.remote.condition else None) or {}
            entity.dead_letter(token, facts.get("DeadLetterReason"), facts.get("DeadLetterErrorDescription"))
        elif state == Delivery.MODIFIED:
            entity.abandon(token)
        else:
            entity.release(token)
        return state


class _Later(Handler):
    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action = action

    def on_timer_task(self, event: Event) -> None:
        self._action()


def _deliver(link: Link, stored: Stored) -> None:
    assert stored.lock_token is not None
    delivery = link.delivery(stored.lock_token.bytes_le)
    delivery.lock_token = stored.lock_token
    link.stream(wire.encode(stored))
    link.advance()


def _token_accepted(request: Message) -> Message:
    return Message(correlation_id=request.id, properties={"status-code": int32(202), "status-description": "Accepted"})


def _accept_link(link: Link, max_message_bytes: int) -> None:
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode
    if max_message_bytes:
        link.max_message_size = max_message_bytes
    link.open()


def _refuse(link: Link, node: str) -> None:
    """An attach with empty termini, then a detach that says why: echoed termini would hide the reason."""
    link.source.type = link.target.type = Terminus.UNSPECIFIED
    link.open()
    link.condition = Condition("amqp:not-found", f"The messaging entity {node} could not be found.", {symbol("e"): ""})
    link.close()


def _reject(delivery: Delivery, condition: str, description: str) -> None:
    # The SDK reads three fields and fails on two: a map that is empty would not be sent.
    delivery.local.condition = Condition(condition, description, {symbol("stand-in"): "yes"})
    _settle_as(delivery, Delivery.REJECTED)


def _settle_as(delivery: Delivery, state: Any) -> None:
    delivery.update(state)
    delivery.settle()


def _cut(connection: Connection) -> None:
    transport = connection.transport
    if transport is not None:
        transport.close_tail()
        transport.close_head()


def _node(address: str) -> str:
    """``amqps://host/queue`` and ``queue`` are the same node; names are not told apart by case."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
