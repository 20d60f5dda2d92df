"""The messages of the organization service (Create, Retrieve, Associate ...) and what each does.

``handlers.MESSAGES`` lists them. Each becomes an operation of the pipeline, which does its own work at stage 30.
"""
