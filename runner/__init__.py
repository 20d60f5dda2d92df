"""Runs Dataverse plug-ins written in Python: on an embedded Dataverse, or for the events of a real one.

:mod:`runner.plugin` is what the author of a plug-in imports. Everything else belongs to the ``runner`` command.
"""
