"""Workers compute, and end with a parent that was killed, so that its output ends too."""

import os
import signal
import subprocess
import sys

import pytest

from freetumor.core.workers import process_pool
from tests.conftest import REPOSITORY

JOB = """
import time
from freetumor.core.workers import process_pool

if __name__ == "__main__":
    with process_pool(2) as pool:
        print(*pool.map(abs, (-1, -2)), flush=True)
        pool.submit(time.sleep, 600)
        print("waiting", flush=True)
        time.sleep(600)
"""


def test_workers_compute():
    with process_pool(2) as pool:
        assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_workers_of_a_killed_parent_end_and_close_its_output(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    parent = subprocess.Popen([sys.executable, "job.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "1 2\n"
    assert parent.stdout.readline() == "waiting\n"
    parent.kill()
    rest, _ = parent.communicate(timeout=60)  # the output ends when the last process that holds it is gone
    assert rest == ""


STARTER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; from freetumor.core.workers import end_with_parent; end_with_parent(); "
    "print('working', flush=True); time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_so_do_processes_that_torchrun_starts_in_sessions_of_their_own(tmp_path):
    (tmp_path / "starter.py").write_text(STARTER)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    starter = subprocess.Popen([sys.executable, "starter.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert starter.stdout.readline() == "working\n"
    starter.kill()
    rest, _ = starter.communicate(timeout=60)
    assert rest == ""
