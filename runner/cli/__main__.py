"""``python -m runner.cli``, for where the console script is not on the path."""

from runner.cli.main import main

main()
