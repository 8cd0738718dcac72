"""A script ends with one line and a status, or with what it took."""

import os
import re
import subprocess
import sys

import pytest

from freetumor.core.costs import SPENT
from tests.conftest import REPOSITORY

BURN = """
import multiprocessing, sys, time
from freetumor.core.errors import UserError, run_script

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def main():
    if sys.argv[1:]:
        raise UserError("x.csv: expected\\na number")
    child = multiprocessing.get_context("fork").Process(target=burn, args=(0.3,))
    child.start()
    burn(0.5)
    child.join()

run_script(main)
"""


def run(tmp_path, *arguments, **variables):
    (tmp_path / "script.py").write_text(BURN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FREETUMOR_")}
    environment |= {"PYTHONPATH": str(REPOSITORY / "scripts")} | variables
    command = [sys.executable, "script.py", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)


def test_a_job_of_the_workflow_says_what_it_and_its_processes_took(tmp_path):
    done = run(tmp_path, FREETUMOR_DRIVER=sys.prefix)
    assert done.returncode == 0
    (spent,) = SPENT.findall(done.stderr)
    assert 0.7 < float(spent) < 10


def test_a_script_that_is_called_by_hand_says_nothing_of_that(tmp_path):
    assert "took" not in run(tmp_path).stderr


@pytest.mark.parametrize("variables", [{}, {"FREETUMOR_DRIVER": sys.prefix}])
def test_a_mistake_is_one_line_and_a_status(tmp_path, variables):
    done = run(tmp_path, "wrong", **variables)
    assert (done.returncode, done.stderr) == (2, "error: x.csv: expected a number\n")


def test_an_environment_that_is_not_the_drivers_is_compared_with_the_lock(tmp_path):
    packages = tmp_path / "torch-1.0.dist-info"
    packages.mkdir()
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    path = f"{REPOSITORY / 'scripts'}{os.pathsep}{tmp_path}"
    warned = re.compile(r"^WARNING: torch 1\.0 is installed, but requirements\.lock pins", re.MULTILINE)
    assert warned.search(run(tmp_path, PYTHONPATH=path, FREETUMOR_DRIVER="/another/prefix").stderr)
    assert not warned.search(run(tmp_path, PYTHONPATH=path, FREETUMOR_DRIVER=sys.prefix).stderr)
