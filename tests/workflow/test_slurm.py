"""The workflow on a Slurm cluster, by the profile that users take: the same bytes as on one machine."""

import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.regions import make_region_fold, region_config
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


def losses(command, environment, arguments, output):
    """What the first step of every training records when a command starts it."""
    environment = environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'scripts'}"}
    program = "tests/synthesizer/distributed_steps.py"
    subprocess.run(
        [*command, program, *map(str, arguments), str(output)], cwd=REPOSITORY, env=environment, check=True, timeout=300
    )
    return {name: found["records"][0] for name, found in torch.load(output, weights_only=True).items()}


def test_a_cluster_gives_the_bytes_of_one_machine_and_two_of_its_nodes_train_as_one(finished, slurm, fold, tmp_path):
    arguments = fold, make_region_fold(tmp_path / "regions", region_config())
    nodes = ["srun", "--nodes", "2", "--ntasks", "2", "--mem", "6000", sys.executable, "scripts/launch.py", "--gpus", "0"]
    one, two = (
        losses(command, slurm, arguments, tmp_path / f"{place}.pt") for place, command in enumerate(([sys.executable], nodes))
    )
    assert set(one) == set(two) == {"segmentation", "adversarial", "gan"}
    assert all(two[name] == pytest.approx(one[name], rel=1e-5) for name in one)

    tmp_path = tmp_path / "checkout"
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
