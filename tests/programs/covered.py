"""orchestrate with its coverage measured, guardians included: COMMAND_UNDER_TEST of `scripts/test --coverage`."""

from measured import measure

measure()

from orchestrator import __main__  # noqa: E402 # measured too

__main__.main()
