"""A plan is as large as its jobs: it neither lists nor counts the files of its sources."""

import resource

import pytest
import yaml

from freetumor.core import settings
from freetumor.download.preflight import inspect_source
from tests.conftest import REPOSITORY
from tests.workflow.checkout import Checkout

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


def planned(checkout, text):
    """Jobs of the plan, processor seconds and greatest memory in KB of a child so far."""
    checkout.write_study("many", text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, said = checkout.run("--dry-run", "--quiet", "rules", study="many")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = [line for line in said.splitlines() if line.startswith(("preprocess_shard", "download_source", "total"))]
    return jobs, after.ru_utime - before.ru_utime, after.ru_maxrss


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
