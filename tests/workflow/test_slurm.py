"""The workflow on a Slurm cluster, by the profile that users take: the same bytes as on one machine."""

import subprocess

import pytest

from tests.workflow.checkout import ENVIRONMENT, Checkout
from tests.workflow.slurm_cluster import cluster, why_not

pytestmark = [pytest.mark.workflow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]
# A cluster without accounting answers only squeue; the first look after two seconds instead of forty.
QUICK = [
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--latency-wait",
    "5",
    "--seconds-between-status-checks",
    "2",
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


def test_the_same_bytes_on_a_slurm_cluster_as_on_one_machine(finished, slurm, tmp_path):
    checkout = Checkout(tmp_path)
    command = [word for word in checkout.command("recognition") if word not in ("--cores", "1")]
    place = command.index("--configfile")
    command[place:place] = ["--workflow-profile", "profiles/slurm", "--jobs", "4", *QUICK]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=slurm | ENVIRONMENT | {"SLURM_CONF": slurm["SLURM_CONF"]},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert done.stdout.count("has been submitted with SLURM jobid") >= 10
    jobs = subprocess.run(["scontrol", "show", "job"], env=slurm, capture_output=True, text=True).stdout
    assert jobs.count("TresPerJob=gres:gpu:1") >= 7  # two trainings of synthesis, a shard, two recognizers, two predictions
    found, expected = checkout.content(), finished.content()
    assert any(path.endswith("weights.safetensors") for path in found)
    assert found == {path: digest for path, digest in expected.items() if path in found}
