"""GPUs of one machine never serve two jobs at once, and no job keeps one after its end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from freetumor.core.errors import UserError
from freetumor.core.gpu_slots import slots_folder, take_gpus, visible_gpus
from freetumor.core.launch import launcher
from tests.conftest import REPOSITORY

JOB = """
import os, sys, time
with open(sys.argv[1], "a") as log:
    print(os.environ.get("CUDA_VISIBLE_DEVICES", "cpu"), "start", file=log, flush=True)
    time.sleep(float(sys.argv[2]))
    print(os.environ.get("CUDA_VISIBLE_DEVICES", "cpu"), "end", file=log, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Start a job that writes to a log when it has its GPUs, and when it ends."""
    script, log = tmp_path / "job.py", tmp_path / "log.txt"
    script.write_text(JOB)
    log.touch()

    def run(seconds, gpus=1, devices="4,GPU-7", **environment):
        command = [sys.executable, "scripts/launch.py", "--gpus", str(gpus), str(script), str(log), str(seconds)]
        slots = {"CUDA_VISIBLE_DEVICES": devices, "FREETUMOR_GPU_SLOTS": str(tmp_path / "slots")}
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=os.environ | slots | environment, stderr=subprocess.PIPE, text=True
        )

    run.lines = lambda: [tuple(line.split()) for line in log.read_text().splitlines()]
    return run


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_jobs_never_meet_on_one_gpu_and_both_gpus_are_used(start):
    jobs = [start(0.2) for _ in range(6)]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 6
    busy, seen = set(), set()
    for device, event in start.lines():
        assert (device in busy) == (event == "end")
        busy ^= {device}
        seen.add(device)
    assert seen == {"4", "GPU-7"}
    assert not busy


def test_a_killed_job_gives_its_gpu_back(start):
    victim = start(600, devices="3")
    wait_for(start.lines)
    waiting = start(0, devices="3")
    time.sleep(0.3)
    assert len(start.lines()) == 1  # it waits
    victim.send_signal(signal.SIGKILL)
    assert waiting.wait(timeout=30) == 0
    victim.wait()
    assert start.lines()[1:] == [("3", "start"), ("3", "end")]


def test_a_script_gets_no_gpu_where_there_is_none(start):
    assert start(0, devices="").wait(timeout=30) == 0
    assert start.lines() == [("start",), ("end",)]


def test_too_few_gpus_are_one_line(start):
    job = start(0, gpus=0, devices="1")
    assert job.wait(timeout=30) == 0
    job = start(0, gpus=3)
    assert job.wait(timeout=30) == 2
    text = job.stderr.read()
    assert text.count("\n") == 1
    assert "compute.gpus_per_job" in text
    assert "3 GPUs" in text


def test_a_job_that_wants_all_gpus_does_not_hold_some_of_them_while_it_waits(tmp_path):
    held = os.fork()
    if held == 0:
        take_gpus(1, ["b"], tmp_path)
        time.sleep(600)
    try:
        wait_for(lambda: (tmp_path / "b.lock").exists())
        time.sleep(0.2)
        greedy = os.fork()
        if greedy == 0:
            take_gpus(2, ["a", "b"], tmp_path)
            os._exit(0)
        try:
            pid = os.fork()
            if pid == 0:
                take_gpus(1, ["a"], tmp_path)
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        finally:
            os.kill(held, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(greedy, 0)[1]) == 0
    finally:
        os.waitpid(held, 0)


def test_visible_gpus_are_those_that_the_environment_names(tmp_path):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": " 1, MIG-3 ,"}) == ["1", "MIG-3"]
    for nothing in ("", "-1", "NoDevFiles"):
        assert visible_gpus({"CUDA_VISIBLE_DEVICES": nothing}) == []
    assert visible_gpus({"PATH": str(tmp_path)}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    program.chmod(0o755)
    assert visible_gpus({"PATH": str(tmp_path)}) == ["GPU-a", "GPU-b"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus({"PATH": str(tmp_path)}) == []


def test_an_allocation_of_a_scheduler_has_locks_of_its_own():
    assert slots_folder({}) != slots_folder({"SLURM_JOB_ID": "5"}) != slots_folder({"SLURM_JOB_ID": "6"})


def test_torchrun_starts_only_what_one_process_cannot_do():
    assert launcher(1, {}) == launcher(1, {"SLURM_STEP_NUM_TASKS": "1"}) == [sys.executable]
    assert "--standalone" in launcher(2, {})
    step = {"SLURM_STEP_NUM_TASKS": "3", "SLURM_JOB_ID": "50001", "SLURM_PROCID": "2", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}
    words = " ".join(launcher(4, step))
    assert "--nnodes 3 --node-rank 2 --master-addr 10.0.0.1 --master-port 30001" in words
    assert "--nproc-per-node 4" in words
    with pytest.raises(UserError, match="SLURM_PROCID"):
        launcher(1, {"SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "1"})
