"""A mistake in the configuration is one line, before anything heavy is done."""

import pytest

pytestmark = pytest.mark.workflow

FOLDER = """
organs: [liver]
sources:
  - {{ name: mine, kind: folder, root: {root}, images: "{images}", labels: "{labels}", label_map: {{ 1: liver }} }}
"""
MISTAKES = {
    "an unknown key": ("recognition: { sedes: [1] }", "unknown key 'recognition.sedes'; did you mean 'seeds'?"),
    "a wrong type": ("segmenter: { training: { steps: many } }", "segmenter.training.steps: Input should be a valid integer"),
    "an unknown arm": ("recognition: { arms: [reel] }", "recognition.arms: 'reel' is not a key of arms; did you mean 'real'?"),
    "an unfit patch": (
        "preset: odd\npresets: { odd: { spacing: [3, 3, 3], window: [0, 1], patch: [9, 8, 8] } }",
        "presets.odd.patch: segmenter.network 'unet' needs multiples of",
    ),
    "a fold that is none": ("cohort: { folds: 3, run_folds: [3] }", "cohort.run_folds: 3 is not a fold; folds are 0 to 2"),
    "a missing folder": (FOLDER.format(root="nowhere", images="*", labels="*"), "sources.mine.root: nowhere is not a folder"),
    "an empty pattern": (
        FOLDER.format(root=".", images="*.nii.gz", labels="*.nii.gz"),
        "sources.mine.images: nothing in . matches",
    ),
    "labels of nothing": (FOLDER.format(root=".", images="rules/*", labels="*.seg"), "sources.mine.labels: "),
}


def errors(text):
    return [line for line in text.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(fresh, mistake):
    settings, words = MISTAKES[mistake]
    fresh.write_study("wrong", f"study: wrong\n{settings}\n")
    status, text = fresh.run("--dry-run", study="wrong", check=False)
    assert status != 0
    (line,) = errors(text)
    assert words in line
    assert "Traceback" not in text
    assert not (fresh.folder / "results" / "wrong").exists()


def test_too_many_folds_stop_the_run_before_any_training(fresh):
    source = "{ name: few, kind: phantom, labeled: 2, tumor_free: 0, unlabeled: 0 }"
    preset = "preset: c\npresets: { c: { spacing: [9, 9, 9], window: [0, 9], patch: [16, 16, 16] } }"
    fresh.write_study("folds", f"study: folds\nsources: [{source}]\n{preset}\ncohort: {{ folds: 5, run_folds: [0] }}\n")
    status, text = fresh.run(study="folds", cores=2, check=False)
    assert status != 0
    assert set(errors(text)) == {"error: cohort.folds: 5 folds, but only 2 labeled patients"}
    log = (fresh.folder / "results" / "folds" / "logs" / "assign_folds.log").read_text()
    assert log == "error: cohort.folds: 5 folds, but only 2 labeled patients\n"
    assert "Traceback" not in text
    assert "train_segmenter" not in text.split("Job stats:")[-1].split("total")[-1]
