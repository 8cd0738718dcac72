"""Workers change when a batch is made, never what it is, and a training that cannot go on says so at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from freetumor.core.errors import UserError
from freetumor.core.feed import Feed
from freetumor.core.seeding import generator
from tests.conftest import REPOSITORY
from tests.core.parents import output_after_kill

STEPS = 9


def draw(step):
    """Slower for early steps, so that workers finish out of order."""
    time.sleep(0.02 * (step % 3 == 1))
    return step, generator("feed", step).random(3).tolist()


def draw_or_refuse(step):
    if step == 3:
        raise UserError("case.b2nd: not readable")
    return step


def draw_or_die(step):
    if step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_come_in_turn_from_any_first_one_on(workers):
    for turn in (range(4, STEPS + 1), (1, 2, 7)):
        feed = Feed(draw, STEPS, workers)
        assert [feed.take(step) for step in turn] == [draw(step) for step in turn]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_user_stays_one_line(workers):
    feed = Feed(draw_or_refuse, STEPS, workers)
    assert [feed.take(1), feed.take(2)] == [1, 2]
    with pytest.raises(UserError, match=r"^case\.b2nd: not readable$"):
        feed.take(3)


def test_a_killed_worker_ends_the_training():
    feed = Feed(draw_or_die, STEPS, 1)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"^compute\.loader_workers: a process that makes patches was killed[^\n]*$"):
        for step in range(1, STEPS + 1):
            feed.take(step)
    assert time.monotonic() - started < 60


def test_workers_end_after_the_last_step():
    feed = Feed(draw, STEPS, 2)
    before = set(children())
    feed.take(1)
    assert len(set(children()) - before) >= 2
    for step in range(2, STEPS + 1):
        feed.take(step)
    deadline = time.monotonic() + 30
    while set(children()) - before - {resource_tracker()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children():
    import psutil

    return [child.pid for child in psutil.Process().children()]


def resource_tracker():
    """A process that multiprocessing starts once and keeps."""
    from multiprocessing.resource_tracker import _resource_tracker

    return _resource_tracker._pid


JOB = """
import time
from freetumor.core.feed import Feed

def make(step):
    time.sleep(600 if step > 2 else 0)
    return step

if __name__ == "__main__":
    print(Feed(make, 9, 1).take(1), flush=True)
    time.sleep(600)
"""


DROPPED = """
import threading
import time
from multiprocessing import queues, resource_tracker, synchronize

import numpy as np
from freetumor.core.feed import Feed

def make(step):
    return np.full(5_000_000, step)

def feed_and_linger(*arguments, feed=queues.Queue._feed):
    feed(*arguments)
    time.sleep(0.03)

def remove_in_two_moments(name):
    synchronize.sem_unlink(name)
    if threading.current_thread() is not threading.main_thread():
        time.sleep(0.2)
    resource_tracker.unregister(name, "semaphore")

if __name__ == "__main__":
    queues.Queue._feed = staticmethod(feed_and_linger)
    synchronize.SemLock._cleanup = staticmethod(remove_in_two_moments)
    print(Feed(make, 99, 1).take(1)[0])
    time.sleep(0.06)
"""


def test_a_training_that_ends_early_ends_in_silence(tmp_path):
    """Also where a thread of the queues is the last to hold a semaphore, and Python ends while it removes it."""
    (tmp_path / "job.py").write_text(DROPPED)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    job = subprocess.run([sys.executable, "job.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (job.returncode, job.stdout, job.stderr) == (0, "1\n", "")


def test_workers_of_a_killed_training_end_and_close_its_log(tmp_path):
    assert output_after_kill(tmp_path, JOB, "1") == ""
