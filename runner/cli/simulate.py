"""``runner simulate``: takes one row through the plug-ins to Stripe and back, and shows each step."""

from __future__ import annotations

import sys
from pathlib import Path

import click

OUTCOMES = (
    "succeeded",
    "failed",
    "failed-then-succeeded",
    "requires-action",
    "processing",
    "canceled",
    "refunded",
    "partially-refunded",
    "disputed",
    "checkout",
    "none",
)


@click.command()
@click.option("--entity", default="payment", show_default=True, help="payment, sales_order, or a table's logical name.")
@click.option(
    "--message",
    type=click.Choice(["create", "update", "delete"], case_sensitive=False),
    default="create",
    show_default=True,
    help="What happens to the row. update and delete create it first.",
)
@click.option(
    "--set",
    "assignments",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="A column of the row, by logical name or as name, amount, currency, customer, status. Repeat for more.",
)
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Columns of the row from a JSON file.")
@click.option(
    "--outcome",
    type=click.Choice(OUTCOMES),
    default="succeeded",
    show_default=True,
    metavar="OUTCOME",
    help=f"What the customer, or Stripe, does next: {', '.join(OUTCOMES)}.",
)
@click.option("--duplicate", is_flag=True, help="Deliver every Stripe event twice.")
@click.option("--shuffle", type=int, metavar="SEED", help="Deliver the events out of order.")
@click.option("--rollback", is_flag=True, help="Make a later step fail: neither row nor intent may remain.")
@click.option(
    "--stripe",
    "stripe_side",
    default="simulator",
    show_default=True,
    metavar="simulator|test-mode|URL",
    help="The in-process simulator, Stripe's test mode (STRIPE_SECRET_KEY=sk_test_...), or a compatible server.",
)
@click.option(
    "--queue",
    type=click.Choice(["embedded", "servicebus"]),
    default="embedded",
    show_default=True,
    help="Where the events wait: a file, or the Service Bus of SERVICEBUS_CONNECTION_STRING or SERVICEBUS_NAMESPACE.",
)
@click.option(
    "--registrations",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Which plug-ins run. [default: RUNNER_REGISTRATIONS or registrations.yaml]",
)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep the databases in DIR."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of the timeline.")
@click.option("--no-color", is_flag=True, help="No colour, also on a terminal.")
def simulate(
    entity: str,
    message: str,
    assignments: tuple[str, ...],
    record: Path | None,
    outcome: str,
    duplicate: bool,
    shuffle: int | None,
    rollback: bool,
    stripe_side: str,
    queue: str,
    registrations: Path | None,
    keep: Path | None,
    as_json: bool,
    no_color: bool,
) -> None:
    """Send a row through the plug-ins to Stripe and back.

    Everything runs in this process: an embedded Dataverse, your plug-ins, Stripe's simulator, the signed
    webhook, the durable queue and the bridge. Exit code 0 means that the row ended where the outcome says,
    1 that it did not, 2 that an option or setting cannot be used.

    \b
    Try:
      runner simulate --entity payment --outcome failed-then-succeeded
      runner simulate --set amount=500 --set currency=JPY --set customer=Contoso
      runner simulate --outcome refunded --duplicate --shuffle 7
      runner simulate --rollback
      runner simulate --queue servicebus
    """
    from runner.simulation.command import Request, run

    request = Request(
        entity=entity,
        message=message.capitalize(),
        assignments=assignments,
        record=record,
        outcome=outcome,
        duplicate=duplicate,
        shuffle=shuffle,
        rollback=rollback,
        stripe_side=stripe_side,
        queue=queue,
        registrations=registrations,
        keep=keep,
    )
    sys.exit(run(request, as_json=as_json, color=False if no_color else None))
