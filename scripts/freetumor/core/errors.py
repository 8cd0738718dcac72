"""Errors a user can cause, and how a script reports them: one line and an exit code of their own."""

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from .exclusive import exclusive

# Variable that the workflow sets: the prefix of the driver's environment, whose packages it has compared with the lock.
DRIVER = "FREETUMOR_DRIVER"
REFUSAL = " does not have a deterministic implementation"  # words of torch


class UserError(Exception):
    """A mistake in the configuration or the data that the user can mend.

    The message is one line that names the file or the configuration key and says what was expected.

    Attributes:
        status: exit status of a script that ends with it.
    """

    status = 2


class DiskFull(UserError):
    """There is no room for a result. It concerns the job, not the case it was at: nothing is quarantined for it."""


class TooManyRefused(UserError):
    """More cases were refused than the configuration allows."""

    status = 3


def fail(message: str, status: int = UserError.status) -> NoReturn:
    """Print ``message`` as one line on standard error and end the process with exit code ``status``."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def core_seconds() -> float:
    """Processor time of this process so far, and of those it has started and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def run_script(main: Callable[[], None]) -> None:
    """Run a script's ``main``, once at a time, and turn a :class:`UserError` into one line and its exit code.

    So it is done to torch's refusal of an operator that would differ from run to run. A script that does not run in the
    environment of the driver, which has looked, says first which of its packages are not the pinned ones. A job of the workflow
    says last what it took: Snakemake looks at running processes every half minute and misses what they do after that.
    """
    started = time.monotonic()
    if os.environ.get(DRIVER) != sys.prefix:
        from .pins import warn_of_other_versions  # which comes back here

        warn_of_other_versions()
    try:
        with exclusive(sys.argv):
            main()
        if DRIVER in os.environ:
            print(f"took {time.monotonic() - started:.1f} s, {core_seconds():.1f} core-seconds", file=sys.stderr, flush=True)
    except UserError as error:
        fail(str(error), error.status)
    except RuntimeError as error:
        what, found, _ = str(error).partition(REFUSAL)
        if not found:
            raise
        operator = what.rpartition("RuntimeError: ")[2]  # behind the traceback of another process, if it came from there
        fail(f"compute.deterministic: {operator}{found} in torch; expected false, to do without")
