"""``runner pull``: writes what is registered in an environment as a registrations file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.registrations.model import Registrations


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE. [default: standard output]",
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
def pull(file: Path | None, output: Path | None, force: bool) -> None:
    """Write the endpoints and steps that are registered at DATAVERSE_URL as registrations.yaml.

    Dataverse knows neither the plug-ins nor the secrets: they are taken from FILE (RUNNER_REGISTRATIONS, or
    registrations.yaml, if it exists), where it has a step or endpoint of that name. Comments at the top say what is
    left to add.
    """
    if output and output.exists() and not force:
        raise click.UsageError(f"{output} exists. Name another file, or add --force.")
    text = _pulled(file)
    if output is None:
        click.echo(text, nl=False)
        return
    _write(output, text)
    click.echo(f"Written to {output}. Check it with: runner check {output}")


def _write(output: Path, text: str) -> None:
    """All of it or nothing: a full disk must not cost the file that is to be replaced."""
    output = output.resolve()
    new = output if output.exists() and not output.is_file() else output.with_name(f"{output.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(output)
    except OSError as error:
        if new != output:
            new.unlink(missing_ok=True)
        raise click.ClickException(f"{output} cannot be written: {error.strerror}. Name another file.") from error


def _pulled(file: Path | None) -> str:
    from runner.connection import connect
    from runner.registrations.deploy.pull import pull
    from runner.settings import Settings

    settings = Settings.load()
    with connect(settings) as client:
        return pull(client, _known(file, settings.runner_registrations)).to_yaml()


def _known(file: Path | None, default: Path) -> Registrations | None:
    """The registrations in ``file``, or in the configured file if that exists. A named file must exist."""
    from runner.registrations.load import load

    return load(file or default) if file or default.exists() else None
