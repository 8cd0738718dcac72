"""Model cards and the data sheet: every network has one, and their numbers are those of files and tables."""

import hashlib
import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from freetumor.core.errors import UserError
from freetumor.core.tables import CASES, FOLD_CASES, HISTORY, QUARANTINE, SUMMARY, make_table, read_table, write_table
from freetumor.figures.cards import CARDS, build_cards, group_weights
from freetumor.figures.data_sheet import data_sheet, statement
from freetumor.figures.markdown import cell, grid
from tests.figures.made_config import make_config


@pytest.fixture(scope="module")
def networks(study, tmp_path_factory):
    """Weights with what lies beside them, and a fold table per fold."""
    folder = tmp_path_factory.mktemp("results") / "demo"
    weights, folds = [], []
    places = ["synthesizer/segmenter", "synthesizer/freetumor", "recognition/real/seed1", "recognition/freetumor/seed1"]
    cases = read_table(study.paths["cases"], CASES)
    for fold in study.config.folds:
        for place in places:
            path = folder / f"fold{fold}" / place / "weights.safetensors"
            path.parent.mkdir(parents=True)
            array = np.full((3, 5), fold, np.float32)
            save_file({"a": array, "b": array[0]}, path, metadata={"description": json.dumps({"steps": 70})})
            history = [{"step": 70, "name": "validation_dice", "value": 0.25}]
            write_table(make_table(history, HISTORY), path.with_name("history.csv"), HISTORY)
            path.with_name("provenance.json").write_text(json.dumps({"commit": "abc", "versions": {"torch": "2.13"}}))
            weights.append(path)
        used = cases[cases["excluded_because"] == ""]
        parts = used["fold"].map(lambda own, fold=fold: "test" if own == fold else "train" if own >= 0 else "pool")
        folds.append(folder / f"fold{fold}" / "cases.parquet")
        write_table(used.assign(part=parts).drop(columns="fingerprint"), folds[-1], FOLD_CASES)
    return weights, folds


def build(study, networks, output, config=None, **changes):
    weights, folds = networks
    paths = {name: study.paths[name] for name in ("cases", "quarantine", "arms", "summary")} | changes
    written = build_cards(config or study.config, folds=folds, weights=weights, output=output, **paths)
    return {path.name: path.read_text(encoding="utf-8") for path in written}


def test_every_network_has_a_card_and_every_file_its_checksum(study, networks, tmp_path):
    cards = build(study, networks, tmp_path)
    kinds = ("segmenter", "synthesizer_freetumor", "recognizer_real", "recognizer_freetumor")
    assert set(cards) == {f"model_card_{kind}.md" for kind in kinds} | {"data_sheet.md", "model_cards.csv"}
    index = read_table(tmp_path / "model_cards.csv", CARDS)
    assert len(index) == len(networks[0]) and set(index["card"]) == {name for name in cards if name.startswith("model_card_")}
    for row in index.itertuples():
        content = (networks[1][0].parents[1] / row.weights).read_bytes()
        assert row.sha256 == hashlib.sha256(content).hexdigest() and row.sha256 in cards[row.card]
        assert (row.numbers, row.steps, row.bytes) == (20, 70, len(content))


def test_a_card_says_what_one_must_know(study, networks, tmp_path):
    for name, text in build(study, networks, tmp_path).items():
        if name.startswith("model_card_"):
            headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
            assert headings[:3] == ["What it is", "Intended use", "Training data"]
            assert {"How it was trained", "Measured", "Limits", "License", "Files", "Provenance"} <= set(headings)
            assert "not for diagnosis" in text and "abc" in text


def test_metrics_come_with_intervals_from_the_comparisons(study, networks, tmp_path):
    cards = build(study, networks, tmp_path)
    summary = read_table(study.paths["summary"], SUMMARY)
    row = summary[(summary["metric"] == "dice") & (summary["arm"] == "freetumor") & (summary["split"] == "development")].iloc[0]
    expected = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}".replace("-", "−")
    assert expected in cards["model_card_recognizer_freetumor.md"]
    assert "It is the baseline of the comparisons." in cards["model_card_recognizer_real.md"]
    assert "| fold0 | validation dice | 0.250 |" in cards["model_card_segmenter.md"]


def test_training_counts_are_those_of_the_fold(study, networks, tmp_path):
    text = build(study, networks, tmp_path)["model_card_segmenter.md"]
    for fold, path in zip(study.config.folds, networks[1], strict=True):
        train = read_table(path, FOLD_CASES).query("part == 'train'")
        lesions = int((train["tumors"] != "").sum())
        assert f"| {fold} | train | {len(train)} | {train['patient_id'].nunique()} | {lesions} |" in text


def test_the_same_inputs_give_the_same_bytes(study, networks, tmp_path):
    assert build(study, networks, tmp_path / "a") == build(study, networks, tmp_path / "b")


def test_names_of_patients_and_places_stay_out(study, networks, tmp_path):
    for text in build(study, networks, tmp_path).values():
        assert "Jane" not in text and "/secret" not in text and str(tmp_path) not in text


def test_what_nobody_stated_is_said_to_be_unknown(study, networks, tmp_path):
    sheet = build(study, networks, tmp_path)["data_sheet.md"]
    assert "| license | not stated; `reporting.data.hospital.license` of the configuration takes it |" in sheet
    facts = {"data": {"hospital": {"license": "CC BY 4.0"}}}
    stated = build(study, networks, tmp_path, make_config(reporting=facts))["data_sheet.md"]
    assert "| license | CC BY 4.0 |" in stated


def test_license_and_citation_of_a_public_source_come_from_the_catalog_unless_stated():
    public = {"sources": [{"name": name, "kind": "public"} for name in ("kits23", "btcv")]}
    config = make_config(**public)
    assert statement(config, "kits23", "license") == "CC BY-NC-SA 4.0; as in docs/data.md; its page decides"
    assert "arXiv 2307.01984" in statement(config, "kits23", "citation")
    assert statement(config, "kits23", "participants").startswith("not stated")
    assert statement(config, "btcv", "license").startswith("not stated")  # the catalog does not know either
    stated = make_config(**public, reporting={"data": {"kits23": {"license": "by contract"}}})
    assert statement(stated, "kits23", "license") == "by contract"


def test_facts_of_an_unknown_source_are_refused():
    with pytest.raises(ValueError, match=r"reporting\.data: 'hospitl' is not a key of sources; did you mean 'hospital'"):
        make_config(reporting={"data": {"hospitl": {"license": "x"}}})


def test_the_checksum_of_a_source_depends_on_its_voxels_alone(study, networks):
    cases = read_table(study.paths["cases"], CASES)
    quarantine = read_table(study.paths["quarantine"], QUARANTINE)

    def checksums(table):
        return re.findall(r"checksum of the voxels \| `(\w+)`", data_sheet(study.config, table, quarantine, {}))

    cases = cases.assign(voxel_hash=[f"{number:064}" for number in range(len(cases))])
    renamed = cases.iloc[::-1].assign(case_id=[f"other-{number}" for number in range(len(cases))], excluded_because="")
    changed = cases.assign(voxel_hash=["f" * 64, *cases["voxel_hash"].iloc[1:]])
    assert checksums(cases) == checksums(renamed) != checksums(changed)


def test_weights_from_elsewhere_are_named():
    with pytest.raises(UserError, match=r"other/weights\.safetensors: expected a folder fold<k>/synthesizer"):
        group_weights(["other/weights.safetensors"])


def test_text_cannot_break_a_table():
    assert cell("a | b\n<script>") == "a \\| b &lt;script>"
    assert grid(("x", "y"), [("1", "2")]) == "| x | y |\n| --- | --- |\n| 1 | 2 |\n"
