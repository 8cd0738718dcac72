"""How many scans there are, and how large, as far as anybody knows: by configuration, catalog, tables of cases and of folds."""

import os

import pytest

from freetumor.core import settings
from freetumor.core.known_costs import costs
from freetumor.core.scans import Scans, fold_scans
from freetumor.download.catalog import catalog
from freetumor.download.sizes import count_scans, study_of
from tests.conftest import REPOSITORY
from tests.factory import make_fold

UNKNOWN = costs()["scans", "of a folder that is not indexed"]


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def study(*sources, **changes):
    raw = settings.read_yaml(REPOSITORY / "config.yaml")
    return settings.validate(settings.merge(raw, ({"sources": list(sources)} if sources else {}) | changes))


def test_scans_that_are_made_are_counted_exactly():
    found = study_of(study())
    assert found.cases == 48
    assert found.fold(0) == Scans(15, 5, 18, 10, 2.4, 15.9 / 27, 2.4, 15.9 / 27)  # 30 labeled in three folds, 8 of others


def test_public_scans_are_those_of_the_catalog_as_far_as_they_are_taken():
    config = study({"name": "lits", "kind": "public"}, {"name": "c4kc_kits", "kind": "public", "limit": 21})
    assert [count_scans(source) for source in config.sources] == [catalog()["lits"].volumes, 21]


def test_a_folder_is_assumed_until_its_cases_are_listed_and_no_file_of_it_is_looked_at(tmp_path):
    mine = study({"name": "mine", "kind": "folder", "root": "nowhere", "images": "*.nii.gz", "labels": "*.nii.gz"})
    assert count_scans(mine.sources[0]) == UNKNOWN
    table = tmp_path / "results" / "data" / "mine" / "cases.csv"
    table.parent.mkdir(parents=True)
    table.write_text('case_id,labels\na,"[1,\n2]"\nb,[]\n')
    assert count_scans(mine.sources[0]) == 2
    table.write_text("case_id\na\nb\nc\n")
    os.utime(table, ns=(0, 10**9))
    assert count_scans(mine.sources[0]) == 3


def test_scans_that_nobody_annotated_are_painted_on_alone():
    bare = {"name": "bare", "kind": "folder", "root": "nowhere", "images": "*.nii.gz"}
    word = {"name": "word", "kind": "public"}
    scans = study_of(study(bare, word)).fold(0)
    assert (scans.train, scans.pool) == (0, UNKNOWN + catalog()["word"].volumes)


def test_external_scans_are_only_tested_on():
    scans = study_of(study({"name": "lits", "kind": "public", "split": "external"})).fold(0)
    assert (scans.test, scans.count) == (catalog()["lits"].volumes,) * 2


def test_a_fold_table_tells_parts_and_sizes(tmp_path):
    folder = tmp_path / "results" / "quick" / "fold0"
    folder.mkdir(parents=True)
    expected = study_of(study()).fold(0)
    make_fold(folder, train=3, validation=1, test=2, pool=4)
    voxels = pytest.approx(28 * 36 * 40 / 1e6)
    assert study_of(study()).fold(0) == Scans(3, 1, 2, 4, voxels, voxels, voxels, voxels) != expected


@pytest.mark.parametrize("content", [None, b"", b"PAR1 is not all of it"])
def test_a_table_that_is_missing_or_damaged_tells_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "cases.parquet").write_bytes(content)
    assert fold_scans(tmp_path / "cases.parquet") is None
