"""Rules run inside the environment of their pinned file, under ``--sdm conda``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.checkout import ENVIRONMENT, Checkout

pytestmark = pytest.mark.workflow


def test_a_rule_runs_in_the_environment_of_its_pinned_file(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    tools = tmp_path / "conda" / "bin"
    tools.mkdir(parents=True)
    stand_in = Path(__file__).with_name("conda_stand_in.py").read_text()
    (tools / "conda").write_text(f"#!{sys.executable}\n{stand_in}")
    (tools / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    (tools / "conda").chmod(0o755)
    done = subprocess.run(
        checkout.command("download", "--sdm", "conda"),
        cwd=checkout.folder,
        env=ENVIRONMENT | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "REAL_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    calls = list((checkout.folder / ".snakemake" / "conda").glob("*/calls"))
    assert len(calls) == 1
    assert "scripts/download_source.py" in calls[0].read_text()
    pinned = (checkout.folder / "envs" / "core.yaml").read_text()
    assert all(f"- {pin}\n" in pinned for pin in calls[0].with_name("pins").read_text().splitlines())
    assert (checkout.folder / "results" / "data" / "tiny_a" / "cases.csv").exists()
