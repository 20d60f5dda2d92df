"""The registration tables (``sdkmessageprocessingstep`` and related ones), whose rows decide which steps run.

``registered_steps`` finds the steps for the pipeline, ``custom_apis`` the messages of custom APIs.
"""
