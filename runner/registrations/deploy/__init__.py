"""Registration as code: what ``registrations.yaml`` asks of an environment, what is there, and how to get there.

    desired = desired_state(registrations, site)       desired.py   the rows there should be
    current = read_environment(client, desired)        current.py   the rows there are
    plan = make_plan(current)                          plan.py      what differs, column by column
    apply_plan(client, plan)                           apply.py     one change set

Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
"""
