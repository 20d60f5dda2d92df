"""Trace records, and what receives them: the console timeline, JSON lines, and metrics."""
