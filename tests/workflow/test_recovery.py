"""Two drivers at once, and a driver that was killed while its job goes on."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.workflow.checkout import ENVIRONMENT, TINY, Checkout

pytestmark = pytest.mark.workflow


def start(checkout, target):
    return subprocess.Popen(
        checkout.command(target),
        cwd=checkout.folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def recover(checkout):
    command = [sys.executable, "scripts/recover_run.py", *checkout.command("preprocess")]
    return subprocess.run(command, cwd=checkout.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def test_a_second_driver_changes_nothing_and_a_killed_one_is_recovered_from(finished, tmp_path):
    checkout = Checkout(tmp_path)
    made = tmp_path / "results" / "data" / "tiny_a" / "images"
    first = start(checkout, "preprocess")
    wait_for(lambda: made.is_dir() and any(made.iterdir()))
    settings = (tmp_path / "results" / "tiny" / "config.yaml").read_bytes()

    checkout.write_study("tiny", TINY.replace("resamples: 100", "resamples: 300"))
    status, text = checkout.run("preprocess", check=False)
    checkout.write_study("tiny", TINY)
    assert status == 1
    assert "cannot be locked" in text
    assert (tmp_path / "results" / "tiny" / "config.yaml").read_bytes() == settings
    refused = recover(checkout)
    assert refused.returncode == 2
    assert f"process {first.pid} still runs 'tiny'" in refused.stderr

    os.kill(first.pid, signal.SIGKILL)  # the driver alone: its job goes on
    first.wait()
    status, text = checkout.run("preprocess", check=False)
    assert status == 1
    released = recover(checkout)
    assert released.returncode == 0, released.stderr
    assert "released the lock" in released.stdout
    checkout.run("preprocess")
    found, expected = checkout.content(), finished.content()
    assert any(path.endswith("volumes.parquet") for path in found)
    assert found == {path: digest for path, digest in expected.items() if path in found}


def test_a_finished_study_is_verified_and_its_state_is_told(finished):
    def say(script, *words):
        command = [sys.executable, f"scripts/{script}", "config.yaml", "studies/tiny.yaml", *words]
        return subprocess.run(command, cwd=finished.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)

    state = say("show_status.py").stdout
    assert "tiny is not running" in state
    assert "0 failed" in state
    assert "quarantined: 0 cases" in state
    verified = say("verify_results.py")
    assert verified.returncode == 0, verified.stdout
    summary = finished.folder / "results" / "tiny" / "evaluation" / "summary.csv"
    content = summary.read_bytes()
    stat = summary.stat()
    summary.write_bytes(content.replace(b"0", b"1", 1))
    changed = say("verify_results.py")
    summary.write_bytes(content)
    os.utime(summary, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert changed.returncode == 2
    assert "differs: evaluation/summary.csv" in changed.stdout


def test_a_run_that_was_killed_at_its_very_end_is_finished_by_the_next(finished, tmp_path):
    checkout = Checkout(tmp_path / "copy")
    checkout.take(finished.folder)
    folder = checkout.folder / "results" / "tiny"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = folder / "figures" / f".overview.pdf.{socket.gethostname()}-{gone.pid}.tmp.pdf"
    left.write_text("half")
    content = finished.content()
    (folder / "checksums.json").unlink()
    (folder / "costs.csv").unlink()
    assert checkout.planned() == {"finish_study": 1, "all": 1}
    script = [sys.executable, "scripts/finish_study.py", "--config", "results/tiny/config.yaml", "--results", "results"]
    subprocess.run(script, cwd=checkout.folder, env=ENVIRONMENT, check=True, timeout=120)
    assert not left.exists()
    (folder / "checksums.json").unlink()
    checkout.run()
    assert (folder / "costs.csv").exists()
    assert (folder / "costs.html").exists()
    command = [sys.executable, "scripts/verify_results.py", "config.yaml", "studies/tiny.yaml"]
    verified = subprocess.run(command, cwd=checkout.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert verified.returncode == 0, verified.stdout
    assert checkout.content() == content
