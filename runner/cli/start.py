"""What the ``runner`` console script calls first. It imports nothing, so that Ctrl-C counts from the beginning."""

#: What a shell calls a process that ended by SIGINT.
_INTERRUPTED = 130


def main() -> None:
    """Run the command; an interrupt while it is being loaded ends without a traceback."""
    try:
        from runner.cli.main import runner

        runner()
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
