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
# A cluster without accounting answers only squeue. The plugin looks at its jobs after so many seconds, then 16 and 26 seconds
# later; most jobs of the tiny study have ended by the second look.
QUICK = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "6", "--latency-wait", "5"]


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


# Outputs of the jobs before the first training, which are copied from a run on this machine;
# `benchmarks/faults.py study` runs them on the cluster as well.
BEFORE = ("data", "volumes", "tiny/cases.parquet", "tiny/fold0/cases.parquet", "tiny/quarantine.tsv")
BEFORE += ("tiny/duplicates.csv", "tiny/overlaps.csv", "tiny/config.yaml")


def test_a_cluster_gives_the_bytes_of_one_machine_and_two_of_its_nodes_train_as_one(finished, slurm, fold, tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    checkout.take(finished.folder, *(f"results/{part}" for part in BEFORE))
    command = [word for word in checkout.command("recognition") if word not in ("--cores", "1")]
    place = command.index("--configfile")
    command[place:place] = ["--workflow-profile", "profiles/slurm", "--jobs", "4", *QUICK]
    environment = slurm | ENVIRONMENT | {"SLURM_CONF": slurm["SLURM_CONF"]}
    with (tmp_path / "driver.txt").open("w") as log:
        driver = subprocess.Popen(command, cwd=checkout.folder, env=environment, stdout=log, stderr=subprocess.STDOUT)

    try:
        arguments = fold, make_region_fold(tmp_path / "regions", region_config())
        nodes = ["srun", "--nodes", "2", "--ntasks", "2", "--mem", "6000", sys.executable, "scripts/launch.py", "--gpus", "0"]
        one, two = (
            losses(command, slurm, arguments, tmp_path / f"{place}.pt")
            for place, command in enumerate(([sys.executable], nodes))
        )
        assert set(one) == set(two) == {"segmentation", "adversarial", "gan"}
        assert all(two[name] == pytest.approx(one[name], rel=1e-5) for name in one)
        status = driver.wait(timeout=600)
    finally:
        driver.kill()
    text = (tmp_path / "driver.txt").read_text()
    assert status == 0, text[-6000:]
    assert text.count("has been submitted with SLURM jobid") == 8  # those of the next line, and one that merges
    jobs = subprocess.run(["scontrol", "show", "job"], env=slurm, capture_output=True, text=True).stdout
    assert jobs.count("TresPerJob=gres:gpu:1") >= 7  # two trainings of synthesis, a shard, two recognizers, two predictions
    found, expected = checkout.content(), finished.content()
    assert any(path.endswith("weights.safetensors") for path in found)
    assert any("predictions" in path for path in found)
    assert found == {path: digest for path, digest in expected.items() if path in found}
