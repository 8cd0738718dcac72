"""What takes long to make is made by one of the processes that run the tests, for all of them."""

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest
from filelock import FileLock

T = TypeVar("T")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], T]) -> T:
    """What ``make`` gives, which is pickled; files that it names lie where it wrote them and must not be changed.

    Args:
        factory: of the session.
        name: of what is made.
        make: called in the process that comes first; others wait for it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    record = shared / f"{name}.pickle"
    with FileLock(shared / f"{name}.lock"):
        if not record.exists():
            record.write_bytes(pickle.dumps(make()))
    return pickle.loads(record.read_bytes())
