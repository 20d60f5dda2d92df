"""The messages of the organization service (Create, Retrieve, Associate ...): what each does, and with which rows.

``handlers.MESSAGES`` lists them. Each becomes an operation for the pipeline, and its own work is that of stage 30.
"""
