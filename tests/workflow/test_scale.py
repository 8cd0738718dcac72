"""A plan is as large as its jobs: it neither lists nor counts the files of its sources."""

import subprocess
import sys

import pytest
import yaml

from freetumor.core import settings
from freetumor.download.preflight import inspect_source
from tests.conftest import REPOSITORY
from tests.workflow.checkout import ENVIRONMENT, Checkout

pytestmark = pytest.mark.workflow

SOURCES, SHARDS = 33, 10  # and 323 shards in all, as for the 161,310 volumes of the paper
SECONDS, KILOBYTES = 60, 500_000  # of a plan


def many(folder, volumes):
    """The text of a study with as many volumes, empty files, in 33 folders."""
    for number in range(volumes):
        path = folder / f"s{number % SOURCES:02d}" / f"{number:06d}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sources = [
        {
            "name": f"s{number:02d}",
            "kind": "folder",
            "root": str(folder / f"s{number:02d}"),
            "images": "*.nii.gz",
            "shards": SHARDS - (number < 7),
        }
        for number in range(SOURCES)
    ]
    return yaml.safe_dump({"study": "many", "sources": sources})


MEASURE = "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True); "
MEASURE += "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(done.stdout); print(used.ru_utime, used.ru_maxrss)"


def planned(checkout, text):
    """Jobs of the plan, its processor seconds and its greatest memory in KB."""
    checkout.write_study("many", text)
    command = checkout.command("--dry-run", "--quiet", "rules", study="many")
    said = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=checkout.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    seconds, memory = said[-1].split()
    jobs = [line for line in said if line.startswith(("preprocess_shard", "download_source", "total"))]
    return jobs, float(seconds), int(memory)


def test_a_plan_does_not_grow_with_the_number_of_volumes(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    checkout = Checkout(folder)
    few, _, _ = planned(checkout, many(tmp_path / "few", SOURCES))
    jobs, seconds, memory = planned(checkout, many(tmp_path / "many", 100 * SOURCES))
    assert jobs == few
    assert any(line.split() == ["preprocess_shard", "323"] for line in jobs)
    assert seconds < SECONDS
    assert memory < KILOBYTES


def test_a_preflight_counts_every_volume(tmp_path):
    raw = settings.merge(settings.read_yaml(REPOSITORY / "config.yaml"), yaml.safe_load(many(tmp_path, 10 * SOURCES)))
    assert sum(inspect_source(source).volumes for source in settings.validate(raw).sources) == 10 * SOURCES
