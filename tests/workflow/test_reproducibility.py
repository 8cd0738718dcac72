"""The results are a pure function of the configuration: of no number of cores, and of no interruption."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from freetumor.core.seeding import generator
from tests.workflow.checkout import ENVIRONMENT, Checkout

pytestmark = pytest.mark.workflow
KILLS = int(os.environ.get("FREETUMOR_KILLS", "4"))


# Made for figures and the report alone, of tables whose bytes are compared; tests/figures/test_regeneration.py draws twice.
DRAWN = re.compile(r"/figures/|/sheets/|/reporting/|gate\.csv$|report\.html$")


def check_content(found, expected):
    """Nothing but what is drawn may be missing, and nothing may differ."""
    assert "tiny/evaluation/summary.csv" in found
    assert found == {path: digest for path, digest in expected.items() if path in found}
    assert set(expected) - set(found) == {path for path in expected if DRAWN.search(path)}


def test_one_and_two_cores_give_the_same_bytes(finished, tmp_path):
    other = Checkout(tmp_path)
    other.run("evaluation", cores=1)
    found = other.content()
    assert {Path(path).suffix for path in found} >= {".parquet", ".csv", ".safetensors", ".pack", ".b2nd"}
    assert len(found) > 50
    check_content(found, finished.content())


def processes_in(folder):
    """Processes whose working folder lies in ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc to see that all processes are gone")
def test_kills_at_random_moments_change_no_byte(finished, tmp_path):
    """As many as FREETUMOR_KILLS says; each kills the whole process group at once, as a power cut would."""
    other = Checkout(tmp_path)
    command = other.command("evaluation", cores=2)
    killed = 0
    for kill in range(KILLS):
        with (tmp_path / f"run{kill}.txt").open("w") as log:
            run = subprocess.Popen(
                command, cwd=other.folder, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            moment = generator("kill", kill).uniform(2, max(4, 0.6 * finished.seconds))
            try:
                run.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                killed += 1
        deadline = time.monotonic() + 30
        while processes_in(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not processes_in(tmp_path)
        other.run("--unlock")
    other.run("evaluation", cores=2)
    assert killed > 0
    check_content(other.content(), finished.content())
