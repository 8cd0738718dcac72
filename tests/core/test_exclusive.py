"""The same job never runs twice at once, and a killed one bars nobody."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from freetumor.core.exclusive import exclusive
from tests.conftest import REPOSITORY

JOB = """
import sys, time
from pathlib import Path
from freetumor.core.exclusive import exclusive

with exclusive(["job", *sys.argv[2:]]):
    with Path("log.txt").open("a") as log:
        print("start", file=log, flush=True)
        time.sleep(float(sys.argv[1]))
        print("end", file=log, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / "log.txt").touch()

    def run(seconds, *name, **environment):
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(JOB), str(seconds), *name],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    run.lines = lambda: (tmp_path / "log.txt").read_text().split()
    run.locks = lambda: list((tmp_path / ".snakemake" / "freetumor_jobs").iterdir())
    return run


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_same_job_waits_and_leaves_nothing(start):
    jobs = [start(0.1) for _ in range(4)]
    texts = [job.communicate(timeout=60)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4
    assert start.lines() == ["start", "end"] * 4
    assert start.locks() == []
    assert any("already does this job" in text for text in texts)


def test_other_jobs_and_other_processes_of_the_same_job_do_not_wait(start):
    long = start(600)
    wait_for(start.lines)
    assert start(0, "other").wait(timeout=30) == 0
    assert start(0, RANK="1").wait(timeout=30) == 0
    long.kill()
    long.wait()
    assert start.lines() == ["start"] + ["start", "end"] * 2


def test_a_killed_job_bars_nobody(start):
    first = start(600)
    wait_for(start.lines)
    second = start(0)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=30) == 0
    assert start.lines() == ["start", "start", "end"]


def test_a_disk_without_locks_is_no_error(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".snakemake").mkdir()
    with exclusive(["job"], tmp_path / ".snakemake"):
        pass
    assert list((tmp_path / ".snakemake" / "freetumor_jobs").iterdir()) == []


def test_nothing_is_locked_outside_a_workflow(tmp_path):
    with exclusive(["job"], tmp_path / ".snakemake"):
        assert list(tmp_path.iterdir()) == []
