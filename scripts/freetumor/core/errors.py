"""Errors a user can cause, and how a script reports them: one line, exit code 2."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """A mistake in the configuration or the data that the user can mend.

    The message is one line that names the file or the configuration key and says what was expected.
    """


def fail(message: str) -> NoReturn:
    """Print ``message`` as one line on standard error and end the process with exit code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def run_script(main: Callable[[], None]) -> None:
    """Run a script's ``main`` and turn a :class:`UserError` into one line and exit code 2."""
    try:
        main()
    except UserError as error:
        fail(str(error))
