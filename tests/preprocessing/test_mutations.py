"""Hundreds of mutations: what changes the meaning of a file is refused by name, what does not changes no voxel."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from freetumor.core.config import Checks
from freetumor.preprocessing.checks import check_hounsfield
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image
from freetumor.preprocessing.recipe import Recipe
from freetumor.preprocessing.volumes import try_case
from tests.preprocessing.mutations import ACCEPTED, IMAGE, all_mutations
from tests.preprocessing.samples import study

MUTATIONS = all_mutations()
MEMORY = 2 * 2**30  # bytes that a file may cost


@contextmanager
def limited_memory(extra: int) -> Iterator[None]:
    """No more than ``extra`` bytes beyond what the process has; where the system does not say that, no limit."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statistics.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> tuple[dict[str, str], list[str]]:
    """The verdict on each mutation, and the files that were left behind."""
    folder, work = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("work")
    config = study()
    recipe = Recipe(config.working, config.checks, {"liver": 1, "liver_tumor": 2, "kidney": 3}, {}, "", "code")
    verdicts = {}
    with limited_memory(MEMORY):
        for mutation in MUTATIONS:
            raw = mutation.make(folder)
            if mutation.verdict == ACCEPTED:
                verdicts[mutation.name] = read_verdict(raw["image"])
            else:
                _, refusal = try_case(raw, recipe, work)
                verdicts[mutation.name] = refusal["code"] if refusal else ACCEPTED
    return verdicts, sorted(path.name for path in work.iterdir())


def read_verdict(path: str) -> str:
    """``accepted`` if a file is read as the very voxels of the good image."""
    try:
        image = read_image(path, Checks()).array
        check_hounsfield(image, path)
    except CaseRefused as refusal:
        return f"{refusal.code}: {refusal.reason}"
    return ACCEPTED if np.array_equal(image, IMAGE) else "other voxels"


def test_there_are_enough_mutations():
    assert len(MUTATIONS) >= 500
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.kind for mutation in MUTATIONS if mutation.verdict != ACCEPTED}) >= 40
    assert len({mutation.verdict for mutation in MUTATIONS}) >= 25


def test_every_mutation_meets_its_verdict(outcomes):
    wrong = {one.name: (one.verdict, outcomes[0][one.name]) for one in MUTATIONS if outcomes[0][one.name] != one.verdict}
    assert wrong == {}


def test_refused_files_leave_nothing_behind(outcomes):
    assert outcomes[1] == []
