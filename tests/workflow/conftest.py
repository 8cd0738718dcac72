"""One finished run of the smallest study, shared by the tests that only look at it."""

import time

import pytest

from tests.once import once
from tests.workflow.checkout import Checkout


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout whose study has been run on two cores; ``seconds`` tells how long that took.

    Each process that runs tests has a copy, since they edit it and put it back.
    """

    def run() -> tuple[Checkout, float]:
        checkout, started = Checkout(tmp_path_factory.mktemp("origin")), time.monotonic()
        checkout.run(cores=2)
        return checkout, time.monotonic() - started

    origin, seconds = once(tmp_path_factory, "finished", run)
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    checkout.take(origin.folder)
    checkout.seconds = seconds
    return checkout


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Checkout:
    """A checkout without results."""
    return Checkout(tmp_path_factory.mktemp("fresh"))
