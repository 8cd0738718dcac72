"""The figure of the gate says what was kept of how many, how sure that is, and what another threshold would keep."""

import json

import numpy as np
import pandas as pd
import pytest

from freetumor.core.config import Synthesizer
from freetumor.core.tables import MANIFEST, make_table, write_table
from freetumor.evaluation.inference import wilson_interval
from freetumor.figures.gate import contrast_groups, gate_numbers, gate_threshold, kept_at, plot_gate, read_manifests, shares
from tests.factory import EMPTY_ROW


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


def test_the_figure_is_drawn_from_manifests(study, tmp_path):
    path = write(tmp_path, DRAWS.to_dict("records"))
    plot_gate(study.config, [path], tmp_path / "gate.png")
    written = pd.read_csv(tmp_path / "gate.csv")
    assert set(written["panel"]) == {"size", "organ", "contrast", "threshold"}
    pd.testing.assert_frame_equal(
        written, gate_numbers(read_manifests(study.config, [path]), study.config.evaluation.confidence), check_dtype=False
    )


def test_contrasts_that_were_not_recorded_are_not_taken_for_accepted(study, tmp_path, monkeypatch):
    from freetumor.figures import style

    said = []
    monkeypatch.setattr(style, "say_empty", lambda axes, text: said.append(text))
    draws = [item | ({"contrast_hu": np.nan} if item["outcome"] == "refused" else {}) for item in DRAWS.to_dict("records")]
    plot_gate(study.config, [write(tmp_path, draws)], tmp_path / "gate.png")
    assert len(said) == 1
    assert "not on record" in said[0]


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
