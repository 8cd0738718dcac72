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
KILLS = int(os.environ.get("FREETUMOR_KILLS", "2"))

# Made for figures and the report alone, of tables whose bytes are compared; tests/figures/test_regeneration.py draws twice.
DRAWN = re.compile(r"/figures/|/sheets/|/reporting/|gate\.csv$|report\.html$")


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
def test_neither_kills_at_random_moments_nor_the_number_of_cores_change_a_byte(finished, tmp_path):
    """Another run on one core of all that follows the raw data, killed as often as FREETUMOR_KILLS says, as by a power cut."""
    other = Checkout(tmp_path)
    other.take(finished.folder, "results/data")
    command = other.command("evaluation", cores=1)
    killed = 0
    for kill in range(KILLS):
        with (tmp_path / f"run{kill}.txt").open("w") as log:
            run = subprocess.Popen(
                command, cwd=other.folder, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            moment = generator("kill", kill).uniform(2, max(4, 0.3 * finished.seconds))
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
    other.run("evaluation", cores=1)
    assert killed > 0
    found, expected = other.content(), finished.content()  # of a run on two cores
    assert {Path(path).suffix for path in found} >= {".parquet", ".csv", ".safetensors", ".pack", ".b2nd"}
    assert len(found) > 50
    assert found == {path: digest for path, digest in expected.items() if path in found}
    assert set(expected) - set(found) == {path for path in expected if DRAWN.search(path)}
