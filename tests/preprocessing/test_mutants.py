"""Faulty inputs end as one row each with the right code; good inputs beside them pass."""

import json

import pandas as pd
import pytest

from freetumor.core.tables import QUARANTINE, VOLUMES, read_table
from freetumor.preprocessing.volumes import preprocess_shard
from tests.preprocessing.mutants import IMAGE, LABEL, MUTANTS, good_variants
from tests.preprocessing.samples import raw_case, study, write_cases, write_nifti


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Volumes, quarantine and stored files of one run over all mutants, all variants and one good case."""
    folder = tmp_path_factory.mktemp("mutants")
    rows = [make(folder) for _, make in MUTANTS.values()]
    label = write_nifti(folder / "good-label.nii.gz", LABEL)
    rows.append(raw_case("good", write_nifti(folder / "good.nii.gz", IMAGE), label))
    rows += [raw_case(name, write_nifti(folder / f"{name}.nii.gz", data), label) for name, data in good_variants().items()]
    cases = write_cases(folder / "cases.csv", rows)
    out, work = folder / "volumes.parquet", folder / "work"
    preprocess_shard(study(), "own", cases, 0, out, folder / "refused.tsv", work)
    files = sorted(path.name for path in work.iterdir())
    return read_table(out, VOLUMES), read_table(folder / "refused.tsv", QUARANTINE), files


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= 80
    assert len({code for code, _ in MUTANTS.values()}) >= 25


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_one_row_with_its_code(outcome, name):
    rows = outcome[1][outcome[1]["case_id"] == name]
    assert list(rows["code"]) == [MUTANTS[name][0]], rows["reason"].tolist()
    assert rows["reason"].iloc[0]
    assert "\n" not in rows["reason"].iloc[0]
    assert rows["stage"].iloc[0] == "preprocessing"


def test_good_cases_pass_beside_them(outcome):
    volumes, refused, _ = outcome
    assert set(volumes["case_id"]) == {"good", *good_variants()}
    assert len(refused) == len(MUTANTS)


def test_variants_mean_the_same(outcome):
    volumes = outcome[0]
    assert volumes["voxel_hash"].nunique() == 1
    assert volumes["native_spacing"].map(lambda text: [round(value, 5) for value in json.loads(text)]).map(str).nunique() == 1


def test_refused_cases_leave_no_files(outcome):
    _, refused, files = outcome
    assert not [name for name in files if name.startswith(".") or name.split(".")[0] in set(refused["case_id"])]


def test_a_label_mismatch_names_both_files(outcome):
    row = outcome[1].set_index("case_id").loc["label-shifted"]
    assert row["path"].endswith("label-shifted-label.nii.gz")
    assert "label-shifted.nii.gz" in row["reason"]
