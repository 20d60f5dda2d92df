"""System jobs (asynchronous steps): their states, their queue, how requests change them, and how they are stored.

``runner.emulator.job_runner`` runs them.
"""
