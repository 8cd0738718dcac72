"""A lock is released when its run is over, and only then."""

import os
import socket
import subprocess
import sys

import pytest

from freetumor.core.errors import UserError
from freetumor.core.files import read_json, write_json
from freetumor.core.runs import RECORD, last_driver, left_behind, record_driver, recover

UNLOCK = [
    sys.executable,
    "-c",
    "import pathlib, sys; assert '--unlock' in sys.argv; pathlib.Path('.snakemake/locks/0').unlink()",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0").touch()
    return tmp_path


def test_a_live_run_keeps_its_lock(folder):
    record_driver("mine")
    assert last_driver().alive
    with pytest.raises(UserError, match=f"process {os.getpid()} still runs 'mine'"):
        recover(UNLOCK)
    assert (folder / ".snakemake/locks/0").exists()


def test_the_lock_of_a_dead_run_is_released_once(folder, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_json(RECORD, {"pid": ended.pid, "host": socket.gethostname(), "started": 1.0, "study": "mine"})
    recover(UNLOCK)
    assert not (folder / ".snakemake/locks/0").exists()
    recover(UNLOCK)
    assert capsys.readouterr().out == "released the lock of a run that is over\nnothing is locked\n"


def test_a_number_that_another_process_has_now_is_not_the_run(folder):
    record_driver("mine")
    write_json(RECORD, read_json(RECORD) | {"started": 1000.0})
    assert not last_driver().alive
    recover(UNLOCK)


def test_a_run_on_another_machine_keeps_its_lock(folder):
    write_json(RECORD, {"pid": 1, "host": "elsewhere", "started": 1.0, "study": "mine"})
    with pytest.raises(UserError, match="began on elsewhere"):
        recover(UNLOCK)
    assert (folder / ".snakemake/locks/0").exists()


def test_a_lock_without_a_record_can_be_released(folder):
    assert last_driver() is None
    recover(UNLOCK)
    assert not (folder / ".snakemake/locks/0").exists()


def test_scripts_that_outlived_their_run_are_named(folder, capsys):
    (folder / "scripts").mkdir()
    (folder / "scripts" / "long.py").write_text("import time; print('up', flush=True); time.sleep(600)")
    job = subprocess.Popen([sys.executable, "scripts/long.py"], cwd=folder, stdout=subprocess.PIPE)
    job.stdout.readline()
    try:
        assert [process.pid for process in left_behind(folder)] == [job.pid]
        recover(UNLOCK)
        assert f"process {job.pid} of it still works" in capsys.readouterr().err
    finally:
        job.kill()
        job.wait()
    assert left_behind(folder) == []
