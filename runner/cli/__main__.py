"""``python -m runner.cli``, for where the console script is not on the path."""

from runner.cli.start import main

main()
