"""Makes a handler of a message that only reads, and whose whole work is its main operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.pipeline.operation import NO_ENTITY, Operation

#: The results of a message, from its parameters.
Answer: TypeAlias = Callable[[Environment, Call, dict[str, Any]], dict[str, Any]]


def reading(name: str, answer: Answer, entity: str = NO_ENTITY) -> Handler:
    """The handler of the message ``name``, whose steps are registered on ``entity``."""

    def handler(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        def main(operation: Operation) -> dict[str, Any]:
            return answer(engine, call, operation.parameters)

        return engine.pipe(Operation(name, entity, call, parameters, main, reads=True))

    return handler
