"""The embedded Dataverse: rows in SQLite, the event execution pipeline, and the Web API.

Start with :class:`runner.emulator.emulator.Emulator`.
"""
