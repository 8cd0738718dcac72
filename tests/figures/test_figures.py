"""Every figure: the width of a column, nothing private, and a table that holds the numbers drawn."""

import itertools
import json
import runpy
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freetumor.core import settings
from freetumor.core.tables import QUARANTINE, SCORES, make_table, read_table, write_table
from freetumor.evaluation.gate import NOT_PLACED
from freetumor.figures import style
from freetumor.figures.differences import paired_differences
from freetumor.figures.flow import participant_flow
from freetumor.figures.fragments import read_caption
from freetumor.figures.training import Run, mean_curve, parse_run, plot_training, smooth
from tests.figures.made_config import INPUTS, Study

SCRIPTS = Path(__file__).parents[2] / "scripts"


def numbers(drawn: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(drawn / f"{name}.csv", keep_default_na=False, na_values=[""])


@pytest.mark.parametrize("name", INPUTS)
def test_files_carry_no_date_and_no_path(drawn, study, name):
    for suffix in (".png", ".pdf"):
        content = (drawn / f"{name}{suffix}").read_bytes()
        for word in (b"CreationDate", b"Matplotlib", b"tIME", str(study.folder).encode(), b"Jane"):
            assert word not in content, word


@pytest.mark.parametrize("name", INPUTS)
def test_figures_are_as_wide_as_a_journal_column(drawn, name):
    width, _ = struct.unpack(">II", (drawn / f"{name}.png").read_bytes()[16:24])
    assert round(width / style.RESOLUTION * 25.4) in (89, 120, 183)


def test_the_flow_of_cases_adds_up(study, drawn):
    cases, quarantine = pd.read_parquet(study.paths["cases"]), read_table(study.paths["quarantine"], QUARANTINE)
    flow = participant_flow(cases, quarantine)
    assert flow.raw == 63  # 60 cases in the table and three that never got into it
    assert flow.quarantined == 3  # the fourth row belongs to a case of the table, refused by a later stage
    assert flow.excluded == {"duplicate": 2}
    assert flow.development + flow.pool + flow.external == 58
    table = numbers(drawn, "cohort")
    written = table[table["panel"] == "flow"].set_index("group")["value"]
    assert written["entered"] == written["quarantined"] + written["excluded: duplicate"] + written["used"]


def test_every_case_is_counted_once_by_source_and_drawn_once_by_volume(study, drawn):
    cases, table = pd.read_parquet(study.paths["cases"]), numbers(drawn, "cohort")
    by_source = table[table["panel"] == "cases"].groupby("source")["value"].sum()
    assert by_source.to_dict() == cases["source"].value_counts().to_dict()
    written = table[table["panel"] == "tumor_ml"].set_index("case_id")["value"]
    expected = cases[cases["tumors"] != ""].set_index("case_id")["tumor_ml"]
    pd.testing.assert_series_equal(written.sort_index(), expected.sort_index(), check_names=False, check_index_type=False)


def test_dots_are_the_differences_of_the_means_over_seeds(study, drawn):
    table = numbers(drawn, "differences")
    dots = table[(table["kind"] == "case") & (table["metric"] == "dice")]
    scores = read_table(study.paths["scores"], SCORES)
    scores = scores[scores["metric"] == "dice"]
    assert len(dots) == 3 * scores["case_id"].nunique()
    for row in dots.iloc[::7].itertuples():
        own = scores[scores["case_id"] == row.case_id]
        expected = own.loc[own["arm"] == row.arm, "value"].mean() - own.loc[own["arm"] == "real", "value"].mean()
        assert row.difference == pytest.approx(expected, abs=1e-12)


def test_means_and_intervals_are_those_of_the_summary(study, drawn):
    table, summary = numbers(drawn, "differences"), pd.read_csv(study.paths["summary"])
    keys = ["split", "metric", "structure", "arm"]
    summary = summary[summary["metric"].isin(["dice", "sensitivity_early"]) & (summary["structure"] == "tumor")]
    columns = ["difference", "ci_low", "ci_high"]
    drawn_means = table[table["kind"] == "mean"].set_index(keys)[columns].sort_index()
    pd.testing.assert_frame_equal(drawn_means, summary.set_index(keys)[columns].sort_index())


def test_a_case_that_one_arm_lacks_has_no_dot():
    rows = [
        {"case_id": case, "patient_id": case, "source": "s", "split": "development", "fold": 0, "arm": arm, "seed": 1}
        | {"structure": "tumor", "metric": "dice", "value": value}
        for case, arm, value in (("a", "real", 0.25), ("a", "new", 0.75), ("b", "real", 0.5), ("c", "new", float("nan")))
    ]
    comparison = {"metric": "dice", "structure": "tumor", "split": "development", "arm": "new", "baseline": "real"}
    found = paired_differences(make_table(rows, SCORES), pd.DataFrame([comparison]))
    assert found[["case_id", "difference"]].to_numpy().tolist() == [["a", 0.5]]


def test_sizes_draws_its_table_as_it_is(study, drawn):
    left, right = pd.read_csv(drawn / "sizes.csv"), pd.read_csv(study.paths["sizes"])
    pd.testing.assert_frame_equal(left, right)


def test_shares_of_outcomes_are_counted_and_sum_to_one(study, drawn):
    table, manifests = numbers(drawn, "gate"), pd.concat(map(pd.read_parquet, study.manifests))
    shares = table[table["panel"] == "organ"]
    assert np.allclose(shares.groupby(["synthesizer", "group"])["share"].sum(), 1)
    counted = manifests.groupby(["synthesizer", "organ", "outcome"]).size()
    written = shares[shares["draws"] > 0].set_index(["synthesizer", "group", "outcome"])["draws"]
    assert written.to_dict() == counted.to_dict()
    sizes = table[(table["panel"] == "size") & (table["group"] == NOT_PLACED)]
    assert set(sizes["outcome"]) == {"no_place"}


@pytest.mark.parametrize(
    ("path", "run"),
    [
        ("results/x/fold0/synthesizer/segmenter/history.csv", Run("segmenter", "segmenter", "0", "")),
        ("results/x/fold12/synthesizer/free.tumor/history.csv", Run("synthesizer", "free.tumor", "12", "")),
        ("results/x/fold1/recognition/real/seed3/history.csv", Run("recognizer", "real", "1", "3")),
        ("results/fold7/recognition/seedling/seed10/history.csv", Run("recognizer", "seedling", "7", "10")),
        ("fold2/recognition/real-seed4.history.csv", Run("recognizer", "real", "2", "4")),
    ],
)
def test_a_path_tells_what_was_trained(path, run):
    assert parse_run(path) == run


def test_bold_lines_are_means_over_runs(study, drawn):
    table = pd.read_csv(drawn / "training.csv")
    here = table[(table["role"] == "recognizer") & (table["name"] == "freetumor") & (table["curve"] == "validation_dice")]
    steps, values = mean_curve(here)
    assert steps.tolist() == [100, 200, 300, 400]
    files = [pd.read_csv(path) for path in study.histories if "recognition/freetumor/" in str(path)]
    assert len(files) == 4
    expected = [
        np.mean([f[(f["name"] == "validation_dice") & (f["step"] == step)]["value"].item() for f in files]) for step in steps
    ]
    assert values == pytest.approx(expected)


def test_names_of_the_colors_stand_in_a_free_cell(study, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, *_: figures.append(figure))
    plot_training(study.config, study.histories, tmp_path / "training.png")
    named = [axes for axes in figures[0].axes if axes.get_legend()]
    assert len(named) == 2  # synthesizers, whose three panels leave no cell free, and recognizers; there is one segmenter
    assert [text.get_text() for text in named[0].get_legend().get_texts()] == ["freetumor", "published"]
    assert not named[1].get_lines()


def test_smoothing_keeps_short_curves_and_straight_middles():
    short = np.array([3.0, 1.0, 2.0])
    assert smooth(short).tolist() == short.tolist()
    line = np.arange(200.0)
    assert np.allclose(smooth(line)[10:-10], line[10:-10])


@pytest.mark.parametrize("name", INPUTS)
def test_empty_inputs_give_figures_that_say_so(study, tmp_path, name, monkeypatch):
    said = []
    monkeypatch.setattr(style, "say_empty", lambda axes, text: said.append(text))
    empty = Study(tmp_path, study.config)
    for argument in INPUTS[name]:
        flag, _, key = argument.partition(":")
        path = study.inputs(name)[flag][0]
        empty.paths[key or flag] = tmp_path / path.name
        write_table(read_table(path).iloc[:0], tmp_path / path.name)
        if path.with_suffix(".npz").is_file():
            np.savez(tmp_path / f"{path.stem}.npz")
    empty.draw(name, tmp_path / "figure.png")
    assert said or name in ("lesions", "flow")  # a line of text, and a number in a box
    assert read_caption(tmp_path / "figure.md").n.startswith("0")


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("plot_*.py")))
def test_a_missing_table_is_one_line(study, tmp_path, script, monkeypatch, capsys):
    config = tmp_path / "config.yaml"
    settings.save(study.config, config)
    options = {
        **{f"plot_{name}.py": [flag.partition(":")[0] for flag in flags] for name, flags in INPUTS.items()},
        "plot_realism.py": ["realism", "profiles"],
        "plot_canvases.py": ["volumes"],
        "plot_contact_sheet.py": ["volumes"],
        "plot_samples.py": ["samples"],
        "plot_fidelity.py": ["tables"],
        "plot_curves.py": ["curves", "selections"],
        "plot_confusion.py": ["confusion"],
        "plot_embedding.py": ["points"],
    }[script]
    arguments = [word for name in options for word in (f"--{name}", "missing.parquet")]
    monkeypatch.setattr(sys, "argv", [script, "--config", str(config), *arguments, "--output", str(tmp_path / "out.png")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    assert end.value.code == 2
    assert capsys.readouterr().err.strip().splitlines() == ["error: missing.parquet: table not found"]


def test_color_is_not_the_only_sign_of_an_arm():
    arms = [f"arm{n}" for n in range(6)]
    colors, markers = style.arm_colors(arms), style.arm_markers(arms)
    assert colors["arm0"] == style.BASELINE
    assert len(set(colors.values())) == len(set(markers.values())) == 6
    assert json.dumps(style.arm_colors(arms[:3])) == json.dumps({arm: colors[arm] for arm in arms[:3]})


def test_many_arms_stay_apart():
    arms = [f"arm{n}" for n in range(60)]
    looks = zip(style.arm_colors(arms).values(), style.arm_markers(arms).values(), strict=True)
    assert len(set(looks)) == 60
    assert len(set(style.arm_colors(arms[:11]).values())) == 11


# Machado, Oliveira and Fernandes 2009: what eyes without one kind of cone see, in linear RGB.
BLIND = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def lab(color: str, eyes: list) -> np.ndarray:
    """CIE L*a*b* (D65) of an sRGB color as these eyes see it."""
    srgb = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(eyes) @ linear, 0, 1) / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", BLIND)
def test_colors_differ_for_all_eyes(eyes):
    seen = [lab(color, BLIND[eyes]) for color in (style.BASELINE, *style.CYCLE)]
    least = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert least > 12  # 2.3 can just be told apart side by side
    assert max(color[0] for color in seen) < 78  # none vanishes on white paper
