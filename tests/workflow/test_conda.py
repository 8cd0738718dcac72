"""Rules run inside the environment of their pinned file, under ``--sdm conda``, made from a channel and wheels on this disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.workflow.checkout import ENVIRONMENT, TINY, Checkout

pytest.importorskip("rattler", reason="needs py-rattler, which installs conda packages (envs/conda.lock)")

from tests.workflow.conda_channel import make_channel, make_wheels

pytestmark = pytest.mark.workflow
PINS = yaml.safe_load((REPOSITORY / "envs" / "core.yaml").read_text())["dependencies"][-1]["pip"]


@pytest.fixture
def conda(tmp_path):
    """A function that runs the workflow with conda, with the given wheels to be had."""
    tools = tmp_path / "conda" / "bin"
    tools.mkdir(parents=True)
    stand_in = Path(__file__).with_name("conda_stand_in.py").read_text()
    (tools / "conda").write_text(f"#!{sys.executable}\n{stand_in}")
    (tools / "conda").chmod(0o755)
    (tools / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    channel = make_channel(tmp_path / "channel", sys.executable)
    checkout = Checkout(tmp_path / "checkout")
    checkout.write_study("tiny", TINY.replace("labeled: 4", "labeled: 1").replace("unlabeled: 1", "unlabeled: 0"))
    stubs = {"STUB_CHANNEL": channel, "STUB_WHEELS": str(tmp_path / "wheels")}

    def run(pins):
        make_wheels(tmp_path / "wheels", pins)
        done = subprocess.run(
            checkout.command("download", "--sdm", "conda"),
            cwd=checkout.folder,
            env=ENVIRONMENT | stubs | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout, checkout.folder

    return run


def test_a_rule_runs_in_the_environment_of_its_pinned_file(conda):
    status, text, folder = conda(PINS)
    assert status == 0, text[-3000:]
    (calls,) = (folder / ".snakemake" / "conda").glob("*/calls")
    assert "scripts/download_source.py" in calls.read_text()
    assert sorted(path.name for path in (calls.parent / "conda-meta").glob("*.json")) == [
        "pip-25.3-0.json",
        "python-3.11.9-0.json",
    ]
    installed = {path.name.removesuffix(".dist-info") for path in (calls.parent / "site-packages").glob("*.dist-info")}
    assert installed == {pin.replace("-", "_").replace("==", "-") for pin in PINS}
    assert (folder / "results" / "data" / "tiny_a" / "cases.csv").exists()


def test_a_pin_that_cannot_be_had_ends_the_run_and_is_named(conda):
    status, text, folder = conda(PINS[:-1])
    assert status == 1
    assert PINS[-1] in text
    assert not (folder / "results" / "data").exists()
