"""``runner emulate``: serves the embedded Dataverse to any client of its Web API."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.web.dataverse.host import Hosting, Site
    from runner.web.dataverse.service_protection import Limits

_FILE = click.Path(dir_okay=False, path_type=Path)
_WARNING = (
    "Warning: {} is reachable from other machines, and this is a tool for development. Whoever asks the token "
    "endpoint for a token gets one, and can read and change every row."
)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5555, show_default=True, help="0 takes any free port.")
@click.option("--data", type=_DIRECTORY, metavar="DIR", help="Keep the rows in DIR. [default: in memory]")
@click.option(
    "--registrations",
    type=_FILE,
    metavar="FILE",
    help="Which plug-ins run. [default: RUNNER_REGISTRATIONS or registrations.yaml]",
)
@click.option("--no-registrations", is_flag=True, help="Run no plug-ins.")
@click.option("--tls", is_flag=True, help="Serve https, with a throw-away certificate.")
@click.option("--require-token", is_flag=True, help="Require a token also from this machine.")
@click.option("--throttle", is_flag=True, help="Apply Dataverse's service protection limits.")
@click.option(
    "--throttle-requests",
    type=click.IntRange(1),
    metavar="N",
    help="Requests a user may make in a window. [default: 6000]",
)
@click.option(
    "--throttle-window", type=click.IntRange(1), metavar="SECONDS", help="Length of the window. [default: 300]"
)
@click.option("--quiet", is_flag=True, help="Do not show what plug-ins do.")
@click.option("--json", "as_json", is_flag=True, help="Print only its addresses, as one line of JSON.")
def emulate(
    host: str,
    port: int,
    data: Path | None,
    registrations: Path | None,
    no_registrations: bool,
    tls: bool,
    require_token: bool,
    throttle: bool,
    throttle_requests: int | None,
    throttle_window: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Serve the embedded Dataverse's Web API at /api/data/v9.2/.

    Plug-ins of registrations.yaml run in it; Stripe is a simulator unless STRIPE_SECRET_KEY holds a test key.
    The page at / shows how to point each client at it. Ctrl-C ends it once running requests and jobs are finished.

    \b
    Try:
      runner emulate
      curl http://127.0.0.1:5555/api/data/v9.2/WhoAmI
    """
    if registrations and no_registrations:
        raise click.UsageError("--registrations and --no-registrations contradict each other. Keep one.")
    from runner.web.dataverse.host import Hosting

    hosting = Hosting(
        registrations=None if no_registrations else registrations or _configured_file(),
        data=data,
        host=host,
        tls=tls,
        limits=_limits(throttle, throttle_requests, throttle_window),
        require_token=require_token,
    )
    _serve(hosting, port, quiet=quiet or as_json, as_json=as_json)


def _configured_file() -> Path | None:
    """The file the settings name. None, for no plug-ins, if that is the default file and it does not exist."""
    from runner.settings import Settings

    file = Settings.load().runner_registrations
    return None if file == Settings().runner_registrations and not file.exists() else file


def _limits(throttle: bool, requests: int | None, window: int | None) -> Limits | None:
    if not (throttle or requests or window):
        return None
    from runner.web.dataverse.service_protection import Limits

    dataverses = Limits()
    return Limits(
        requests=requests or dataverses.requests,
        window=timedelta(seconds=window) if window else dataverses.window,
    )


def _serve(hosting: Hosting, port: int, *, quiet: bool, as_json: bool) -> None:
    from runner.cli.timeline import timeline
    from runner.web.dataverse.host import hosted
    from runner.web.server import Server, is_loopback, listen, url_of

    if not is_loopback(hosting.host):
        click.echo(_WARNING.format(hosting.host), err=True)
    with listen(hosting.host, port) as bound, hosted(hosting, None if quiet else timeline()) as site:
        url = url_of(bound, hosting.host, secure=hosting.tls)
        said = _line(url, site) if as_json else _welcome(url, hosting, site)
        Server(site.app, bound, site.certificate).serve_until_stopped(lambda: click.echo(said))


def _line(url: str, site: Site) -> str:
    certificate = {} if site.certificate is None else {"ca": str(site.certificate.authority)}
    return json.dumps({"url": url, "api": f"{url}/api/data/v9.2", **certificate})


def _welcome(url: str, hosting: Hosting, site: Site) -> str:
    lines = [f"The embedded Dataverse answers at {url}/api/data/v9.2/ (Ctrl-C ends it)."]
    plugins = f"plug-ins of {hosting.registrations}" if hosting.registrations else "no plug-ins"
    rows = f"rows in {hosting.data}" if hosting.data else "rows in memory"
    lines.append(f"{plugins[0].upper()}{plugins[1:]}, Stripe is the {site.stripe}, {rows}. How to use it: {url}/")
    if site.certificate is not None:
        lines.append(f"Clients trust its certificate with  REQUESTS_CA_BUNDLE={site.certificate.authority}")
        lines.append(f"                            or with  NODE_EXTRA_CA_CERTS={site.certificate.authority}")
    return "\n".join(lines)
