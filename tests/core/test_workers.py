"""Workers compute, and end with a parent that was killed, so that its output ends too."""

from freetumor.core.workers import process_pool
from tests.core.parents import output_after_kill

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


def test_workers_of_a_killed_parent_end_and_close_its_output(tmp_path):
    assert output_after_kill(tmp_path, JOB, "1 2", "waiting") == ""


STARTER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; from freetumor.core.workers import end_with_parent; end_with_parent(); "
    "print('working', flush=True); time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""


def test_so_do_processes_that_torchrun_starts_in_sessions_of_their_own(tmp_path):
    assert output_after_kill(tmp_path, STARTER, "working") == ""
