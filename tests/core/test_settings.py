"""Every mistake in a configuration is one line that names the file, the key and what was expected."""

import copy
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.utils import update_config

from freetumor.core.errors import UserError
from freetumor.core.settings import load, merge, read_yaml, save, validate
from tests.conftest import REPOSITORY
from tests.factory import small_config


@pytest.fixture
def raw():
    return small_config().model_dump(mode="json")


def complaint(path):
    with pytest.raises(UserError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def refusal(raw):
    with pytest.raises(UserError) as caught:
        validate(raw, "study.yaml")
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("study.yaml: ")
    return text.removeprefix("study.yaml: ")


def put(raw, path, value):
    """Set ``value`` at a dotted path."""
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parents:
        raw = raw[part]
    raw[last] = value


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("studdy", "study"),
        ("recognition.sedes", "seeds"),
        ("presets.tiny.spcing", "spacing"),
        ("sources.0.domian", "domain"),
        ("synthesizers.freetumor.gate.treshold", "threshold"),
        ("synthesizers.freetumor.painter.training.stesp", "steps"),
        ("recognition.training.learnig_rate", "learning_rate"),
        ("arms.real.augmentaton", "augmentation"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(raw, path, nearest):
    put(raw, path, 1)
    assert refusal(raw) == f"unknown key '{path}'; did you mean '{nearest}'?"


def test_an_unknown_key_without_a_near_one_lists_the_known_ones(raw):
    put(raw, "cohort.zzz", 1)
    assert refusal(raw) == "unknown key 'cohort.zzz'; known keys here: folds, labeled_limit, run_folds, validation"


@pytest.mark.parametrize("name", ["phantom", "folder"])
def test_a_preset_may_have_the_name_of_a_kind_of_source(raw, name):
    raw["presets"][name] = {**raw["presets"]["tiny"], "spcing": 1}
    assert refusal(raw) == f"unknown key 'presets.{name}.spcing'; did you mean 'spacing'?"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("seed", "many", "seed: Input should be a valid integer"),
        ("recognition.training.steps", 0, "recognition.training.steps: Input should be greater than or equal to 1, got 0"),
        ("presets.tiny.patch", [16, 16], "key 'presets.tiny.patch.2' is missing"),
        ("presets.my preset", {}, "presets.my preset: String should match pattern"),
        ("presets.tiny.spacing", [3, 0, 3], "presets.tiny.spacing.1: Input should be greater than 0, got 0"),
        ("presets.tiny.window", [250, -175], "presets.tiny.window: expected a lower and a greater upper bound"),
        ("presets.tiny.window", [40, 40], "presets.tiny.window: expected a lower and a greater upper bound"),
        ("sources.0.kind", "phantoom", "sources.0"),
        ("sources.0.labeled", -1, "sources.0.labeled: Input should be greater than or equal to 0, got -1"),
        ("synthesizers.constant.painter.contrast", [9, 1], "synthesizers.constant.painter.contrast: expected a lower"),
        ("synthesizers.constant.defects", {"blured_rim": True}, "synthesizers.constant.defects.blured_rim"),
        ("synthesizers.constant.shape.probability.tiny", 0.9, "synthesizers.constant.shape: the probabilities must sum to one"),
        ("synthesizers.constant.shape.radius", {"big": 9}, "synthesizers.constant.shape: radius and probability must name"),
        ("synthesizers.constant.shape.radius.tiny", 0, "synthesizers.constant.shape.radius.tiny"),
        ("recognition.overlap", 1, "recognition.overlap: Input should be less than 1, got 1"),
        ("recognition.network.channels", [8], "recognition.network: 'unet' needs the channels of at least two levels"),
        ("study", "a/b", "study: String should match pattern"),
        ("arms", [1], "arms: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(raw, path, value, words):
    put(raw, path, value)
    assert refusal(raw).startswith(words)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("preset", "tinny", "preset: 'tinny' is not a key of presets; did you mean 'tiny'?"),
        (
            "recognition.arms",
            ["real", "cosntant"],
            "recognition.arms: 'cosntant' is not a key of arms; did you mean 'constant'?",
        ),
        ("recognition.arms", [], "recognition.arms"),
        ("recognition.arms", ["real", "real"], "recognition.arms: an entry is listed twice"),
        ("recognition.seeds", [3, 3], "recognition.seeds: an entry is listed twice"),
        ("arms.constant.synthesizer", "const", "arms.constant.synthesizer: 'const' is not a key of synthesizers"),
        ("synthesis.synthesizers", ["zzz"], "synthesis.synthesizers: 'zzz' is not a key of synthesizers; known are constant, "),
        ("cohort.run_folds", [0, 3], "cohort.run_folds: 3 is not a fold; folds are 0 to 2"),
        ("cohort.run_folds", [0, 0], "cohort.run_folds: an entry is listed twice"),
        ("organs", ["liver", "liver"], "organs: an organ is listed twice"),
        ("presets.tiny.patch", [16, 16, 15], "presets.tiny.patch: recognition.network 'unet' needs multiples of 2 voxels"),
        ("task", "classification", "categories: a classification needs at least two"),
        ("presets.tiny.form", "region", "presets.tiny: patch: a preset of the form 'region' needs a square [1, n, n]"),
        ("presets.tiny.spacing", None, "presets.tiny: a preset of the form 'volume' needs a spacing"),
        ("recognition.training.epochs", 3, "training.epochs: patches are drawn at random, a segmentation has no epochs"),
        (
            "recognition.network",
            {"name": "roi_cnn", "channels": [4, 8, 16]},
            "recognition.network: 'roi_cnn' does not serve the task 'segmentation'",
        ),
        (
            "evaluation.selections",
            {"best": {"candidates": ["real", "zzz"]}},
            "evaluation.selections.best.candidates: 'zzz' is not among recognition.arms",
        ),
        ("synthesizers.constant.trained_as", "zzz", "synthesizers.constant.trained_as: 'zzz' is not a key of synthesizers"),
        ("synthesizers.constant.trained_as", "freetumor", "synthesizers.constant.trained_as: 'freetumor' must train networks"),
        ("synthesizers.constant.painter.kind", "dcgan", "synthesizers.constant.painter: 'dcgan' does not serve the task"),
        ("recognition.network.name", "swin_unetr", "recognition.network: 'swin_unetr' needs a multiple of 12 channels"),
        (
            "synthesizers.copy_paste.shape.kind",
            "ellipsoid",
            "synthesizers.copy_paste: the painter 'transplant' needs shape.kind",
        ),
        ("arms.constant.synthetic_share", 0.9, "arms.constant.synthetic_share: 0.9 of a batch of 2 is 2 painted patches"),
        ("arms.constant.synthetic_share", 0.1, "arms.constant.synthetic_share: 0.1 of a batch of 2 is 0 painted patches"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(raw, path, value, words):
    put(raw, path, value)
    assert refusal(raw).startswith(words)


def test_variants_of_a_synthesizer_may_share_its_networks(raw):
    raw["synthesizers"]["ungated"] = raw["synthesizers"]["freetumor"] | {"trained_as": "freetumor", "gate": {"kind": "none"}}
    raw["synthesis"]["synthesizers"] = ["ungated"]
    raw["recognition"]["arms"] = ["real"]
    config = validate(raw)
    assert config.used_synthesizers == ["ungated"]
    assert config.trainings_of_synthesizers == ["freetumor"]
    assert config.needs_segmenter  # the one that is trained needs it, though the one that paints has no gate


def test_two_sources_of_one_name_are_refused(raw):
    raw["sources"] *= 2
    assert refusal(raw) == "sources: two sources have the same name"


def test_a_missing_key_is_named(raw):
    del raw["presets"]["tiny"]["window"]
    assert refusal(raw) == "key 'presets.tiny.window' is missing"


def test_an_unknown_key_is_reported_before_the_missing_one_it_was_meant_to_be(raw):
    raw["presets"]["tiny"]["windw"] = raw["presets"]["tiny"].pop("window")
    assert refusal(raw) == "unknown key 'presets.tiny.windw'; did you mean 'window'?"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "line 2: aliases are not allowed"),
        ("study: a\nseed: 1\nstudy: b\n", "line 3: key 'study' is given twice"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "line 4: key 'b' is given twice"),
        ("- a\n- b\n", "expected a mapping"),
        ("just text", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: [1, 2\nb: 3\n", "not valid YAML"),
        ("\ta: 1", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['exit 1']", "not valid YAML"),
        ("? [a, b]\n: 1\n", "a key is a list or a mapping"),
        ("a: 2025-13-45", "not valid YAML"),
        ("a: !!bool maybe", "not valid YAML"),
        ("a: !!timestamp soon", "not valid YAML"),
        ("a: " + "[" * 5000, "not valid YAML"),
        ("x: " + "y" * 1_000_001, "at most 1 MB"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path, text, words):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert words in complaint(path)


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    assert complaint(tmp_path / "none.yaml") == "configuration not found (No such file or directory)"
    (tmp_path / "folder.yaml").mkdir()
    assert "configuration not found" in complaint(tmp_path / "folder.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe9\xff\n")
    assert "not valid YAML" in complaint(tmp_path / "latin.yaml")


VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda children: st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(MAPPINGS, MAPPINGS)
def test_overlays_merge_as_those_of_snakemake(base, overlay):
    expected = copy.deepcopy(base)
    update_config(expected, copy.deepcopy(overlay))
    before = copy.deepcopy((base, overlay))
    assert merge(base, overlay) == expected
    assert (base, overlay) == before


def test_the_last_file_wins_key_by_key(tmp_path, raw):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "b.yaml").write_text("seed: 5\ncompute: {torch_threads: 3}\nrecognition: {seeds: [9]}\n")
    config = load(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert (config.seed, config.compute.torch_threads, config.recognition.seeds) == (5, 3, [9])
    assert config.recognition.arms == raw["recognition"]["arms"]
    assert config.compute.device == raw["compute"]["device"]


def test_a_saved_configuration_loads_as_the_same_and_is_not_rewritten(tmp_path):
    path = tmp_path / "study" / "config.yaml"
    save(small_config(), path)
    assert load(path) == small_config()
    os.utime(path, (1, 1))
    save(small_config(), path)
    assert path.stat().st_mtime == 1
    save(small_config(seed=1), path)
    assert path.stat().st_mtime != 1


@pytest.mark.parametrize("study", [None, *sorted(path.stem for path in (REPOSITORY / "studies").glob("*.yaml"))])
def test_every_study_of_the_repository_is_valid(study):
    paths = [REPOSITORY / "config.yaml", *([REPOSITORY / "studies" / f"{study}.yaml"] if study else [])]
    config = load(*paths)
    assert config.study == study or study is None
    assert read_yaml(paths[-1])


PAINTING = {"copy_paste", "constant", "freetumor"}


@pytest.mark.parametrize(
    ("study", "training", "online"),
    [
        ("phantom", (800, 8, 5e-3), PAINTING),
        ("synthesizers", (500, 8, 5e-3), PAINTING | {"automaton"}),
        ("as_published", (500, 8, 5e-3), set()),
        ("gates", (800, 8, 5e-3), set()),
        ("sts", (400, 8, 1e-2), PAINTING | {"automaton"}),
        ("smoke", (12, 2, 5e-3), PAINTING),
    ],
)
def test_what_was_measured_does_not_follow_the_default_study(study, training, online):
    """docs/results.md tells what these studies found; they overlay config.yaml, which may change."""
    config = load(REPOSITORY / "config.yaml", REPOSITORY / "studies" / f"{study}.yaml")
    found = config.recognition.training
    assert (found.steps, found.batch, found.learning_rate) == training
    arms = {name: config.arms[name] for name in config.recognition.arms}
    assert {name for name, arm in arms.items() if arm.synthesizer is not None and arm.lesions == "online"} == online
