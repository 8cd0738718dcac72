"""Operations are those of the closed form, and a plan adds them up."""

import math

import pytest

from benchmarks.operations import TERA, Study, operations
from benchmarks.scale import Line, _hours, measured, planned
from freetumor.core.config import Network
from freetumor.core.settings import save
from freetumor.core.tables import CASES, FOLD_CASES, read_table, write_table
from tests.factory import small_config

PATCH = (16, 16, 16)


def convolutions(width, inputs, outputs, voxels):
    """Operations of FreeTumor's U-Net by hand: 3 x 3 x 3 convolutions, transposed ones, and the last one."""
    ends = [width * 2**level for level in range(1, 5)]
    total, sizes = 0, [voxels // 8**level for level in range(4)]
    for level, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        start = inputs if level == 0 else ends[level - 1]
        total += 27 * size * (start * end // 2 + end // 2 * end)
    for level in (2, 1, 0):
        below, here, size = ends[level + 1], ends[level], sizes[level]
        total += below * below * size + 27 * size * ((here + below) * here + here * here)
    return 2 * (total + ends[0] * outputs * voxels)


@pytest.mark.parametrize(("width", "inputs", "outputs"), [(4, 2, 3), (6, 1, 2)])
def test_operations_of_a_network_are_those_counted_by_hand(width, inputs, outputs):
    network = Network(name="unet3d", channels=[width])
    found = operations(network, inputs, outputs, PATCH) * TERA
    assert found == convolutions(width, inputs, outputs, math.prod(PATCH))
    assert 2.9 * found < operations(network, inputs, outputs, PATCH, backward=True) * TERA < 3 * found  # none for the image


def test_a_plan_counts_folds_arms_and_seeds():
    config = small_config(synthesis={"synthesizers": ["freetumor"], "lesions_per_case": 3})
    text = planned(config, volumes=10, lesions=4, gpus=[1], teraflops=1.0, cores=1)
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:]] for row in text.splitlines() if "|" in row}
    folds, each = len(config.folds), len(config.recognition.arms) * len(config.recognition.seeds)
    assert rows["banks of freetumor"][0] == f"{10 * 4 * folds} lesions"
    assert rows["recognizers"][0] == f"{folds * each} trainings"
    assert rows["prediction"][0] == f"1,000 volumes, {each} times"
    study = Study(config)
    training = config.recognition.training
    step = operations(config.recognition.network, 1, 5, config.working.patch, backward=True) * training.batch
    assert study.recognizer() == pytest.approx(training.steps * step)


def test_jobs_go_side_by_side_in_whole_rounds():
    line = Line("x", "5 jobs of 2 GPUs", tera=5 * 3600.0 * 2, parts=5, gpus=2)
    assert [_hours(line, gpus, teraflops=1.0, cores=8) for gpus in (2, 4, 10, 64)] == [5, 3, 1, 1]
    assert _hours(line, 1, teraflops=1.0, cores=8) == 10
    assert _hours(Line("y", "", core_hours=64), 4, teraflops=1.0, cores=8) == 2


def test_a_finished_study_is_added_up(fold, tmp_path):
    study = tmp_path / "small"
    (study / "benchmarks" / "predict").mkdir(parents=True)
    (study / "logs" / "predict").mkdir(parents=True)
    for seed, seconds in ((1, 720), (2, 1080)):
        (study / "benchmarks" / "predict" / f"fold0-real-seed{seed}.tsv").write_text(
            f"s\th:m:s\tmax_rss\tcpu_time\n9\t-\t{seed}00\t{seconds}\n"
        )
        (study / "logs" / "predict" / f"fold0-real-seed{seed}.log").write_text("x: 90/90 cases, 1 cases/s, finished in 9 s\n")
    save(small_config(), study / "config.yaml")
    cases = read_table(fold, FOLD_CASES).assign(fingerprint="")
    write_table(cases[list(CASES.columns)], study / "cases.parquet", CASES)
    (study / "fold0" / "synthesis").mkdir(parents=True)
    (study / "fold0" / "synthesis" / "x.pack").write_bytes(bytes(4_000_000))
    text = measured(study)
    assert "small: 8 volumes" in text
    assert "| predict | 2 | 180 cases | 0.500 | 10 | 200 |" in text
    assert "| synthesis | 1 | 0.004 | 0.500 |" in text
