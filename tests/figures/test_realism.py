"""The figure of realism: the same bytes on every run, its numbers those of the tables, and words where there is no number."""

import struct

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, read_table, write_table
from freetumor.evaluation.lesion_features import EDGES, MEASURES
from freetumor.evaluation.realism import NOT_ENOUGH, PROFILES, REALISM
from freetumor.figures import style
from freetumor.figures.captions import Facts, caption
from freetumor.figures.realism import plot_realism
from tests.figures.made_config import make_config

ORGANS, NAMES = ("liver", "pancreas"), ("constant_contrast", "freetumor", "published")


def number_rows(name, organ, rng):
    """All rows of a synthesizer and organ; of the pancreas there is not enough."""
    enough = organ == "liver"
    keys = {"synthesizer": name, "organ": organ, "note": "" if enough else NOT_ENOUGH}
    keys |= dict(zip(("n", "patients", "n_real", "patients_real"), (40, 20, 20, 15) if enough else (9, 4, 0, 0), strict=True))

    def row(measure, statistic, center, spread):
        ends = center + spread * np.array([0, -1, 1]) if enough else np.full(3, np.nan)
        real = ends - 0.3 * spread
        found = dict(
            zip(("value", "ci_low", "ci_high", "reference", "reference_low", "reference_high"), [*ends, *real], strict=True)
        )
        return keys | {"measure": measure, "statistic": statistic} | found

    rows = []
    for measure in MEASURES:
        middle = rng.uniform(15, 25)
        rows += [row(measure, statistic, middle + step, 2) for statistic, step in (("q10", -8), ("q50", 0), ("q90", 12))]
        rows.append(row(measure, "distance", 3, 1))
    return [
        *rows,
        row("features", "kernel", rng.uniform(0, 30), 2),
        row("lesions", "auc", 0.8, 0.1),
        row("rings", "auc", 0.5, 0.1),
        row("lesions", "neighbor", 0.9, 0.1),
    ]


def profile_rows(name, rng):
    rows = []
    for middle in (EDGES[:-1] + EDGES[1:]) / 2:
        level = 80 + 40 * np.tanh(middle / rng.uniform(2, 4))
        numbers = (middle, level, level - 8, level + 8, level + 5, level - 5, level + 15, 40, 20)
        rows.append({"synthesizer": name, "organ": "liver"} | dict(zip(list(PROFILES.columns)[2:], numbers, strict=True)))
    return rows


def write_tables(folder, names=NAMES):
    rng = generator("test", "realism")
    rows = [row for name in names for organ in ORGANS for row in number_rows(name, organ, rng)]
    write_table(make_table(rows, REALISM), folder / "realism.csv", REALISM)
    write_table(
        make_table([row for name in names for row in profile_rows(name, rng)], PROFILES), folder / "profiles.csv", PROFILES
    )
    return folder / "realism.csv", folder / "profiles.csv"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("realism")
    tables = write_tables(folder)
    (folder / "figures").mkdir()
    plot_realism(make_config(), *tables, folder / "figures" / "realism.png")
    return folder


def test_a_second_run_gives_the_same_bytes_without_date_or_path(drawn, tmp_path):
    plot_realism(make_config(), drawn / "realism.csv", drawn / "profiles.csv", tmp_path / "realism.png")
    for suffix in (".png", ".pdf", ".csv"):
        content = (drawn / "figures" / f"realism{suffix}").read_bytes()
        assert content == (tmp_path / f"realism{suffix}").read_bytes(), suffix
        for word in (b"CreationDate", b"Matplotlib", b"tIME", str(drawn).encode()):
            assert word not in content, word


def test_it_is_as_wide_as_two_columns_and_fits_a_page(drawn):
    width, height = struct.unpack(">II", (drawn / "figures" / "realism.png").read_bytes()[16:24])
    assert round(width / style.RESOLUTION * 25.4) == style.DOUBLE
    assert height / style.RESOLUTION * 25.4 < 250


def test_the_csv_holds_every_number_drawn(drawn):
    table = read_table(drawn / "figures" / "realism.csv")
    numbers, profiles = read_table(drawn / "realism.csv", REALISM), read_table(drawn / "profiles.csv", PROFILES)
    assert len(table) == len(numbers) + len(profiles)
    lines = table[table["measure"] == "profile_hu"]
    assert lines["value"].astype(float).to_numpy() == pytest.approx(profiles["value"].to_numpy())
    assert (table["note"] == NOT_ENOUGH).sum() == (numbers["note"] == NOT_ENOUGH).sum() > 0


@pytest.mark.parametrize("count", [1, 6])
def test_any_number_of_synthesizers_is_drawn(tmp_path, count):
    tables = write_tables(tmp_path, [f"painter_{number}" for number in range(count)])
    (tmp_path / "figures").mkdir()
    plot_realism(make_config(), *tables, tmp_path / "figures" / "realism.png")
    assert (tmp_path / "figures" / "realism.pdf").stat().st_size > 1000


def test_a_study_without_a_real_lesion_is_drawn_with_words(tmp_path):
    rng = generator("empty")
    write_table(make_table(number_rows("freetumor", "pancreas", rng), REALISM), tmp_path / "realism.csv", REALISM)
    write_table(make_table([], PROFILES), tmp_path / "profiles.csv", PROFILES)
    (tmp_path / "figures").mkdir()
    plot_realism(make_config(), tmp_path / "realism.csv", tmp_path / "profiles.csv", tmp_path / "figures" / "realism.png")
    assert b"not enough" in (tmp_path / "figures" / "realism.csv").read_bytes()


def test_it_is_in_the_report_of_a_study_of_segmentation_with_a_bank_and_has_a_caption():
    config = make_config(synthesis={"synthesizers": ["freetumor"]})
    assert "realism" in config.figures
    assert make_config().banks == [] and "realism" not in make_config().figures
    words = caption("realism", Facts(config, None, None, None))
    assert "95 %" in words.text and words.alternative
