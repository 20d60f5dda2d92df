"""Registration as code: what ``registrations.yaml`` asks of an environment, what is there, and how to get there.

    plan = make_plan(registrations, client, site, secrets)     # compares; see endpoints, steps, environment
    apply_plan(client, plan.without_removals())                # one change set

:mod:`~runner.registrations.deploy.pull` goes the other way, and :mod:`~runner.registrations.deploy.schema` makes the
tables that are missing.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
"""
