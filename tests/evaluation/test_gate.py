"""The table of the gate says what was kept of how many, how sure that is, and what another threshold would keep."""

import json

import numpy as np
import pandas as pd
import pytest

from freetumor.core.config import Synthesizer
from freetumor.core.tables import MANIFEST, make_table, read_table, write_table
from freetumor.evaluation.gate import (
    NOT_PLACED,
    contrast_groups,
    gate_numbers,
    gate_threshold,
    kept_at,
    read_manifests,
    score_gate,
    shares,
    size_class,
)
from freetumor.evaluation.gate_table import GATE, IN_USE
from freetumor.evaluation.statistics.proportions import wilson_interval
from tests.factory import EMPTY_ROW, small_config


def draw(size="tiny", outcome="accepted", score=0.9, contrast=-50.0, organ="liver"):
    return {"synthesizer": "s", "organ": organ, "size": size, "outcome": outcome, "score": score, "contrast_hu": contrast}


DRAWS = pd.DataFrame(
    [draw()] * 3
    + [draw(outcome="refused", score=0.2, contrast=-10.0)] * 9
    + [draw("large", outcome="refused", score=0.4, contrast=-20.0, organ="kidney")] * 5
    + [draw("not placed", "no_place", np.nan, np.nan, "kidney")] * 2
)


def test_shares_have_their_denominators_and_intervals():
    found = shares(DRAWS, "size", 0.95).set_index(["group", "outcome"])
    assert found["draws"].to_dict() == {
        ("large", "accepted"): 0,
        ("large", "refused"): 5,
        ("not placed", "no_place"): 2,
        ("tiny", "accepted"): 3,
        ("tiny", "refused"): 9,
    }
    assert found.loc[("tiny", "accepted"), "share"] == 0.25
    assert tuple(found.loc[("tiny", "accepted"), ["low", "high"]]) == wilson_interval(3, 12, 0.95)
    assert tuple(found.loc[("large", "accepted"), ["low", "high"]]) == wilson_interval(0, 5, 0.95)
    assert found.loc[("tiny", "refused"), ["low", "high"]].isna().all()


def test_a_threshold_keeps_what_scores_as_much():
    found = kept_at(DRAWS, 0.95)
    assert set(found["group"]) == {"tiny", "large"}  # what was not placed was not judged
    shares = found.set_index(["group", "threshold"])["share"]
    assert (found.loc[found["group"] == "tiny", "draws"] == 12).all()
    at = {(group, round(threshold, 3)): share for (group, threshold), share in shares.items()}
    assert [at["tiny", t] for t in (0.0, 0.2, 0.225, 0.9, 0.925)] == [1, 1, 0.25, 0.25, 0]
    assert [at["large", t] for t in (0.4, 0.425)] == [1, 0]


def test_groups_of_contrast_hold_every_draw_in_rising_order():
    contrast = pd.Series(np.linspace(-80.2, 20.7, 53))
    groups = contrast_groups(contrast)
    assert groups.nunique() == 5
    assert groups.value_counts().between(8, 13).all()
    assert groups.iloc[0] == "−81 to −60 HU"
    assert groups.iloc[-1] == "1 to 21 HU"
    assert contrast_groups(pd.Series([-50.0, -50.0])).nunique() == 1


def test_contrast_counts_judged_draws_alone():
    table = gate_numbers(DRAWS, 0.95)
    contrast = table[table["panel"] == "contrast"]
    assert contrast["draws"].sum() == 17
    assert contrast.groupby("group", sort=False)["share"].sum().tolist() == [1] * contrast["group"].nunique()
    assert [group.split(" ")[0] for group in contrast["group"].unique()] == ["−50", "−20"]
    assert contrast.loc[contrast["outcome"] == "accepted", "share"].tolist() == [3 / 8, 0]


def write(folder, draws, name="freetumor"):
    rows = [
        EMPTY_ROW
        | {"lesion_id": f"c.{index}", "case_id": "c", "synthesizer": name, "draw": index}
        | {key: item[key] for key in ("organ", "outcome", "score", "contrast_hu")}
        | {"parameters": json.dumps({} if item["outcome"] == "no_place" else {"size": item["size"]})}
        for index, item in enumerate(draws)
    ]
    write_table(make_table(rows, MANIFEST), folder / "manifest.parquet", MANIFEST)
    return folder / "manifest.parquet"


def test_the_table_holds_the_draws_of_the_manifests_and_the_threshold_in_use(tmp_path):
    config = small_config()
    path = write(tmp_path, DRAWS.to_dict("records"))
    score_gate(config, [path], tmp_path / "gate.csv")
    written = read_table(tmp_path / "gate.csv", GATE)
    in_use = written[written["panel"] == IN_USE]
    assert in_use[["synthesizer", "threshold"]].to_numpy().tolist() == [
        ["freetumor", config.synthesizers["freetumor"].gate.threshold]
    ]
    others = written[written["panel"] != IN_USE].replace("", np.nan).infer_objects()
    expected = gate_numbers(read_manifests(config, [path]), config.evaluation.confidence)
    assert set(others["panel"]) == {"size", "organ", "contrast", "threshold"}
    pd.testing.assert_frame_equal(others, expected, check_dtype=False)


def test_manifests_without_a_draw_give_an_empty_table(tmp_path):
    write_table(make_table([], MANIFEST), tmp_path / "manifest.parquet", MANIFEST)
    score_gate(small_config(), [tmp_path / "manifest.parquet"], tmp_path / "gate.csv")
    assert read_table(tmp_path / "gate.csv", GATE).empty


def test_size_classes_come_from_the_draw_or_from_the_radius():
    radii = {"tiny": 4.0, "small": 7.0, "large": 20.0}
    assert size_class({"size": "small"}, radii) == "small"
    assert size_class({"radius_mm": 16.0}, radii) == "large"
    assert size_class({"radius_mm": 5.0}, radii) == "tiny"  # 5/4 is closer to 1 than 7/5
    assert size_class({}, radii) == NOT_PLACED


@pytest.mark.parametrize(
    ("gate", "defect", "least"),
    [
        ({"kind": "segmenter", "threshold": 0.3}, False, 0.3),
        ({"kind": "segmenter", "threshold": 0.3}, True, 0.7),
        ({"kind": "composed", "agreement": {"least": 0.4}}, False, 0.4),
        ({"kind": "composed", "size": {}}, False, None),
        ({}, True, None),
    ],
)
def test_the_threshold_is_that_of_the_main_score(gate, defect, least):
    settings = Synthesizer(painter={"kind": "constant"}, gate=gate, defects={"recall_gate": defect})
    assert gate_threshold(settings) == least
