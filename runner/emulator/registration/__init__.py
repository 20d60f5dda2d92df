"""The registration tables (``sdkmessageprocessingstep`` and its neighbours): rows that decide which steps run.

``registered_steps`` is what the pipeline asks, ``custom_apis`` where a message of that kind is found.
"""
