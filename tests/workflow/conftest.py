"""One finished run of the smallest study, shared by the tests that only look at it."""

import time

import pytest

from tests.workflow.checkout import Checkout


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout whose study has been run on two cores; ``seconds`` tells how long that took."""
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    started = time.monotonic()
    checkout.run(cores=2)
    checkout.seconds = time.monotonic() - started
    return checkout


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Checkout:
    """A checkout without results."""
    return Checkout(tmp_path_factory.mktemp("fresh"))
