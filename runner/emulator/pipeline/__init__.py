"""The event execution pipeline: an operation and its way through the stages, past the steps registered on them.

``pipeline`` is where to start; ``operation_view`` is what the steps of an operation are told of it.
"""
