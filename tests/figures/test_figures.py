"""Every figure: the same bytes on every run, all three files, and a table that holds the numbers drawn."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freetumor.core import settings
from freetumor.core.tables import FOLD_CASES, MANIFEST, QUARANTINE, SCORES, make_table, read_table, write_table
from freetumor.figures import lesions, style, volumes
from freetumor.figures.cohort import example_cases, plot_cohort, slice_to_show
from freetumor.figures.differences import paired_differences, plot_differences
from freetumor.figures.flow import participant_flow
from freetumor.figures.gate import NOT_PLACED, gate_threshold, plot_gate, size_class
from freetumor.figures.lesions import plot_lesions
from freetumor.figures.sizes import plot_sizes
from freetumor.figures.training import Run, mean_curve, parse_run, plot_training, smooth

SCRIPTS = Path(__file__).parents[2] / "scripts"

FIGURES = {
    "cohort": lambda s, path: plot_cohort(s.config, s.paths["cases"], s.paths["quarantine"], path),
    "lesions": lambda s, path: plot_lesions(s.config, s.paths["fold_cases"], s.manifests, path),
    "training": lambda s, path: plot_training(s.config, s.histories, path),
    "differences": lambda s, path: plot_differences(s.config, s.paths["scores"], s.paths["lesions"], s.paths["summary"], path),
    "sizes": lambda s, path: plot_sizes(s.config, s.paths["sizes"], path),
    "gate": lambda s, path: plot_gate(s.config, s.manifests, path),
}


@pytest.fixture(scope="session")
def drawn(study, tmp_path_factory) -> Path:
    """A folder with all figures, drawn once."""
    folder = tmp_path_factory.mktemp("figures")
    for name, draw in FIGURES.items():
        draw(study, folder / f"{name}.png")
    return folder


def numbers(drawn: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(drawn / f"{name}.csv", keep_default_na=False, na_values=[""])


@pytest.mark.parametrize("name", FIGURES)
def test_a_second_run_gives_the_same_bytes(study, drawn, tmp_path, name, monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20)  # somebody's own settings change nothing
    FIGURES[name](study, tmp_path / f"{name}.png")
    for suffix in (".png", ".pdf", ".csv"):
        first, second = ((folder / f"{name}{suffix}").read_bytes() for folder in (drawn, tmp_path))
        assert first == second, suffix


@pytest.mark.parametrize("name", FIGURES)
def test_files_carry_no_date_and_no_path(drawn, study, name):
    for suffix in (".png", ".pdf"):
        content = (drawn / f"{name}{suffix}").read_bytes()
        for word in (b"CreationDate", b"Matplotlib", b"tIME", str(study.folder).encode(), b"Jane"):
            assert word not in content, word


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_as_wide_as_a_journal_column(drawn, name):
    width, _ = struct.unpack(">II", (drawn / f"{name}.png").read_bytes()[16:24])
    assert round(width / style.RESOLUTION * 25.4) in (90, 120, 180)


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


def test_the_example_slice_shows_the_largest_tumor(study):
    cases = pd.read_parquet(study.paths["cases"])
    for case in example_cases(study.config, cases):
        label = volumes.open_array(volumes.locate(case["label"], study.paths["cases"]))[...]
        level = slice_to_show(case, study.paths["cases"], label)
        voxels = {code: (label == code).sum() for code in (2, 4, 6)}
        largest = max(voxels, key=voxels.get)
        assert (label[level] == largest).any()


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


def test_size_classes_come_from_the_draw_or_from_the_radius():
    radii = {"tiny": 4.0, "small": 7.0, "large": 20.0}
    assert size_class({"size": "small"}, radii) == "small"
    assert size_class({"radius_mm": 16.0}, radii) == "large"
    assert size_class({"radius_mm": 5.0}, radii) == "tiny"  # 5/4 is closer to 1 than 7/5
    assert size_class({}, radii) == NOT_PLACED


def test_the_published_gate_has_its_own_threshold(study):
    assert gate_threshold(study.config.synthesizers["published"]) == 0.7
    assert gate_threshold(study.config.synthesizers["freetumor"]) == 0.5


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


def test_examples_cover_organs_and_sizes():
    def example(organ: str, diameter: float) -> lesions.Example:
        return lesions.Example("real", "c", f"{organ}{diameter}", organ, diameter, lambda field: None)

    pool = [example("liver", d) for d in range(10, 90)] + [example("pancreas", d) for d in (5, 6)]
    chosen = lesions.spread_over(pool, 9)
    diameters = [e.diameter_mm for e in chosen]
    assert len({e.lesion_id for e in chosen}) == 9
    assert diameters == sorted(diameters)
    assert sum(e.organ == "pancreas" for e in chosen) == 2
    assert diameters[2] < 20 < 80 < diameters[-1]
    assert lesions.spread_over(pool[::-1], 9) == chosen  # the order of the table does not matter
    assert len(lesions.spread_over(pool, 1000)) == len(pool)


def test_a_picture_shows_the_lesion_in_the_middle_and_nothing_else_changes(study):
    cases = read_table(study.paths["fold_cases"], FOLD_CASES)
    manifest = study.manifests[1]
    row = next(r for r in read_table(manifest, MANIFEST).to_dict("records") if r["outcome"] == "accepted")
    parent = cases.set_index("case_id", drop=False).loc[row["case_id"]].to_dict()
    views = lesions.read_synthetic(parent, study.paths["fold_cases"], row, manifest, field=64.0)
    changed = views.before != views.after
    assert changed.any()
    assert not (changed & ~views.mask).any()
    middle = np.argwhere(views.mask).mean(0) - (np.array(views.mask.shape) - 1) / 2
    assert np.abs(middle).max() < 3  # the slice's own center may lie a little beside the lesion's


def test_empty_inputs_give_figures_that_say_so(study, tmp_path):
    for name in ("scores", "lesions", "sizes", "summary"):
        path = study.paths[name]
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        write_table(frame.iloc[:0], tmp_path / path.name)
    manifest = tmp_path / "manifest.parquet"
    write_table(make_table([], MANIFEST), manifest, MANIFEST)
    plot_gate(study.config, [manifest], tmp_path / "gate.png")
    plot_lesions(study.config, study.paths["fold_cases"], [manifest], tmp_path / "none.png")
    plot_training(study.config, [], tmp_path / "training.png")
    inputs = [tmp_path / name for name in ("scores.parquet", "lesions.parquet", "summary.csv")]
    plot_differences(study.config, *inputs, tmp_path / "differences.png")
    plot_sizes(study.config, tmp_path / "sizes.csv", tmp_path / "empty_sizes.png")
    assert len(list(tmp_path.glob("*.png"))) == 5


def test_a_script_draws_what_the_library_draws(study, drawn, tmp_path):
    config = tmp_path / "config.yaml"
    settings.save(study.config, config)
    command = [sys.executable, SCRIPTS / "plot_sizes.py", "--config", config, "--sizes", study.paths["sizes"]]
    subprocess.run([*command, "--output", tmp_path / "sizes.png"], check=True, env=os.environ | {"MPLBACKEND": "tkagg"})
    assert (tmp_path / "sizes.png").read_bytes() == (drawn / "sizes.png").read_bytes()


@pytest.mark.parametrize("script", sorted(path.name for path in [*SCRIPTS.glob("plot_*.py"), SCRIPTS / "build_report.py"]))
def test_a_missing_table_is_one_line(study, tmp_path, script):
    config = tmp_path / "config.yaml"
    settings.save(study.config, config)
    code = f"import sys, runpy; sys.argv[0] = {script!r}; runpy.run_path({str(SCRIPTS / script)!r}, run_name='__main__')"
    options = {
        "plot_cohort.py": ["cases", "quarantine"],
        "plot_lesions.py": ["cases", "manifests"],
        "plot_training.py": ["histories"],
        "plot_differences.py": ["scores", "lesions", "summary"],
        "plot_sizes.py": ["sizes"],
        "plot_gate.py": ["manifests"],
        "plot_realism.py": ["realism", "profiles"],
        "plot_canvases.py": ["volumes"],
        "plot_samples.py": ["cases", "manifests"],
        "plot_fidelity.py": ["tables"],
        "plot_curves.py": ["curves", "selections"],
        "plot_confusion.py": ["confusion"],
        "plot_embedding.py": ["cases", "weights"],
        "build_report.py": ["summary", "arms", "sizes", "cases", "quarantine", "figures"],
    }[script]
    arguments = [word for name in options for word in (f"--{name}", "missing.parquet")]
    command = [sys.executable, "-c", code, "--config", str(config), *arguments, "--output", str(tmp_path / "out.png")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: missing.parquet: table not found"]


def test_color_is_not_the_only_sign_of_an_arm():
    arms = [f"arm{n}" for n in range(6)]
    colors, markers = style.arm_colors(arms), style.arm_markers(arms)
    assert colors["arm0"] == style.BASELINE
    assert len(set(colors.values())) == len(set(markers.values())) == 6
    assert json.dumps(style.arm_colors(arms[:3])) == json.dumps({arm: colors[arm] for arm in arms[:3]})
