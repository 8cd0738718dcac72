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


def test_one_and_two_cores_give_the_same_bytes(finished, tmp_path):
    other = Checkout(tmp_path)
    other.run(cores=1)
    expected, found = finished.content(), other.content()
    assert {Path(path).suffix for path in expected} >= {".parquet", ".csv", ".safetensors", ".png", ".pack", ".b2nd", ".html"}
    assert len(expected) > 60
    assert found == expected


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
    found = other.content()
    expected = finished.content()
    assert "tiny/evaluation/summary.csv" in found
    assert found == {path: digest for path, digest in expected.items() if path in found}
    drawn = re.compile(r"/figures/|/sheets/|/reporting/|gate\.csv$|report\.html$")  # made for figures and the report alone
    assert set(expected) - set(found) == {path for path in expected if drawn.search(path)}
