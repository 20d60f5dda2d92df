"""The event execution pipeline: runs an operation through its stages, with the steps registered on them.

Start with ``pipeline``; ``operation_view`` makes the contexts of steps.
"""
