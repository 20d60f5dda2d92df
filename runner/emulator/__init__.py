"""The embedded Dataverse: rows in SQLite, the event execution pipeline, and the Web API.

:class:`runner.emulator.emulator.Emulator` is the way in.
"""
