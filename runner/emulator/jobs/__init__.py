"""System jobs: asynchronous steps that wait for their turn, what a request may make of them, what outlives the process.

``runner.emulator.job_runner`` runs them.
"""
