"""Runs one step: its context, time limit, isolation and trace. The emulator and the intake both use it."""
