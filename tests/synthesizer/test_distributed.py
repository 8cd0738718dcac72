"""Several processes train as one would: same samples, same loss, same gradients, but for rounding."""

import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.regions import make_region_fold, region_config

PROGRAM = REPOSITORY / "tests" / "synthesizer" / "distributed_steps.py"


@pytest.fixture(scope="module")
def found(fold, tmp_path_factory):
    """What one and what two processes computed."""
    folder = tmp_path_factory.mktemp("distributed")
    regions = make_region_fold(folder / "regions", region_config())
    results = []
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for world, command in ((1, [sys.executable]), (2, [sys.executable, *torchrun])):
        output = folder / f"{world}.pt"
        done = subprocess.run(
            [*command, str(PROGRAM), str(fold), str(regions), str(output)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'scripts'}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(torch.load(output, weights_only=True))
    return results


@pytest.mark.parametrize("name", ["segmentation", "adversarial", "gan"])
def test_two_processes_have_the_gradients_and_the_losses_of_one(found, name):
    one, two = (result[name] for result in found)
    for a, b in zip(one["records"], two["records"], strict=True):
        assert b == pytest.approx(a, rel=1e-5)
    # A bias before a normalization has no gradient but rounding errors, of which Adam makes a full step.
    largest = max(float(value.abs().max()) for value in one["gradients"].values())
    for part, least in (("gradients", 1e-3 * largest), ("buffers", 1e-2)):
        assert one[part].keys() == two[part].keys()
        assert one[part] or (name, part) == ("adversarial", "buffers")  # its networks normalize per sample
        for key, value in one[part].items():
            scale = max(float(value.float().abs().max()), least)
            torch.testing.assert_close(two[part][key] / scale, value / scale, rtol=0, atol=5e-3, msg=key)
