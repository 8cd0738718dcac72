"""Privacy: planted copies are found and others are not, by voxels and by features, and attackers learn what they can."""

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, read_table, write_table
from freetumor.evaluation.aligned import SIDE, alignment, correlations, threshold, thumbnail, turned
from freetumor.evaluation.lesion_crops import (
    COPIES,
    COPY,
    HELD_OUT,
    MEASURED,
    PAINTED,
    PLANTED,
    REAL,
    TRAINING,
    plant,
)
from freetumor.evaluation.lesion_features import Crop
from freetumor.evaluation.privacy import expected_below, membership, score_privacy, share_interval
from freetumor.evaluation.realism_tables import NOT_ENOUGH, PRIVACY, PRIVACY_DISTANCES
from freetumor.preprocessing.store import read_array, write_array
from tests.factory import small_config

SPACING = (3.0, 2.0, 2.0)


def lesion(rng, spacing=SPACING, smooth=0.7, spread=18.0):
    """An ellipsoid that grows darker toward its middle, in noise as correlated as that of CT."""
    radii = rng.uniform(6, 13, 3)
    shape = [int(2 * (max(radii) + 6) / step) + 1 for step in spacing]
    axes = [(np.arange(n) - n / 2 + rng.uniform(0, 1)) * step for n, step in zip(shape, spacing, strict=True)]
    depth = np.sqrt(sum((axis / r) ** 2 for axis, r in zip(np.meshgrid(*axes, indexing="ij"), radii, strict=True)))
    noise = gaussian_filter(rng.normal(size=shape), smooth)
    image = 100 - 60 / (1 + np.exp(6 * (depth - 1))) + spread * noise / noise.std()
    return Crop(np.rint(image).astype(np.int16), depth <= 1, depth > 1, spacing)


def test_all_of_twenty_planted_copies_are_found_among_a_thousand_and_at_most_one_percent_of_the_others():
    rng = generator("planted")
    real = [lesion(rng) for _ in range(60)]
    training, others = 40, [lesion(rng) for _ in range(1000)]
    copies = [plant(real[number], rng) for number in range(20)]
    cubes = [np.stack([thumbnail(crop) for crop in crops]) for crops in (copies, others, real)]
    found = [alignment(mine, cubes[2])[1][:, :training] for mine in cubes[:2]]
    assert (found[0].max(axis=1) > threshold(training)).all()
    assert found[0].argmax(axis=1).tolist() == list(range(20))
    assert (found[1].max(axis=1) > threshold(training)).mean() <= 0.01


@pytest.mark.parametrize("smooth", [0.01, 1.5])
def test_copies_of_other_sizes_and_grids_are_found_too(smooth):
    """Enlarged by a quarter: the same voxels, of another size."""
    rng = generator("enlarged", int(100 * smooth))
    real = [lesion(rng, smooth=smooth) for _ in range(20)]
    larger = [Crop(crop.image, crop.lesion, crop.organ, tuple(1.25 * step for step in SPACING)) for crop in real[:5]]
    cubes = [np.stack([thumbnail(crop) for crop in crops]) for crops in (larger, real)]
    best, outstanding = alignment(*cubes)
    assert outstanding.argmax(axis=1).tolist() == list(range(5))
    assert (outstanding.max(axis=1) > threshold(20)).all() and (best.max(axis=1) > 0.99).all()


def test_a_thumbnail_is_texture_alone():
    crop = lesion(generator("texture"))
    first = thumbnail(crop)
    inside = np.isfinite(first)
    ball = np.pi / 6 / 1.3**3 * SIDE**3
    assert inside.sum() == pytest.approx(ball, rel=0.35)  # elongated ones reach beyond the cube
    assert abs(first[inside].mean()) < 0.5
    brighter = Crop(crop.image + 300, crop.lesion, crop.organ, crop.spacing)
    np.testing.assert_allclose(thumbnail(brighter), first, atol=1e-3)
    flat = Crop(np.where(crop.lesion, 40, 100).astype(np.int16), crop.lesion, crop.organ, crop.spacing)
    assert np.nanmax(np.abs(thumbnail(flat))) < 35  # the border alone is interpolated


def test_correlations_are_those_of_numpy_over_common_cells_in_all_ways():
    rng = generator("correlations")
    cubes = rng.normal(size=(5, SIDE, SIDE, SIDE)).astype(np.float32)
    cubes[rng.random(cubes.shape) < 0.3] = np.nan
    found, _ = correlations(cubes[:2], cubes[2:])
    assert found.shape == (2, 3, 16)
    for way, other in enumerate(turned(cubes[2:])[1]):
        common = np.isfinite(cubes[0]) & np.isfinite(other)
        a, b = cubes[0][common], other[common]
        assert found[0, 1, way] == pytest.approx(np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2)), abs=1e-5)
    ways = turned(cubes[:1])[0]
    assert len({np.nan_to_num(way).tobytes() for way in ways}) == 16


def test_lesions_that_hardly_overlap_and_featureless_ones_are_no_copies():
    rng = generator("overlap")
    plate, rod = (np.full((1, SIDE, SIDE, SIDE), np.nan, np.float32) for _ in range(2))
    plate[:, 5:7] = rng.normal(size=(2, SIDE, SIDE))
    rod[:, :, 5:7, 5:7] = rng.normal(size=(SIDE, 2, 2))
    assert (correlations(plate, rod)[0] == 0).all()
    best, outstanding = alignment(np.zeros_like(plate), np.concatenate([plate] * 8))
    assert np.isnan(best).all() and np.isnan(outstanding).all()


def waves(weights, rng):
    """Thumbnails (n, 12, 12, 12) of waves along z, of the wavelengths that are weighted (n, waves), in noise."""
    height = (np.arange(SIDE) + 0.5) / SIDE * np.pi
    texture = np.sqrt(2) * np.asarray(weights) @ np.cos(np.arange(1, 11)[:, None] * height)
    return (texture[:, :, None, None] + rng.normal(size=(len(texture), SIDE, SIDE, SIDE))).astype(np.float32)


def test_who_resembles_everybody_was_not_copied():
    """A real lesion of all waves: found in those of two if no other real one has waves, not if each has one, more or less."""
    rng = generator("hub")
    hub, mine = waves(2 * np.ones((1, 10)), rng), waves(np.eye(10) + np.roll(np.eye(10), 1, axis=0), rng)
    waveless, waved = waves(np.zeros((20, 10)), rng), waves(np.tile(np.eye(10), (2, 1)) * rng.normal(0, 2, (20, 1)), rng)
    for others, accused in ((waveless, True), (waved, False)):
        outstanding = alignment(mine, np.concatenate([hub, others]))[1][:, 0]
        assert ((outstanding > threshold(20)) == accused).all()
    copy = hub + rng.normal(scale=0.3, size=hub.shape).astype(np.float32)
    assert alignment(copy, np.concatenate([hub, waved]))[1][0, 0] > threshold(20)


def test_the_threshold_is_stricter_the_more_lesions_are_compared():
    assert threshold(10) < threshold(1000)
    assert stats.norm.sf(threshold(10)) * 10 * 16 == pytest.approx(1e-5)


def test_the_area_of_an_attacker_is_that_of_scikit_learn_within_each_fold():
    rng = generator("attack")
    scores, members = [rng.normal(size=n) for n in (30, 20)], [rng.random(n) < 0.4 for n in (30, 20)]
    scores[0][:3] = -np.inf
    area, found = membership(scores, members)
    pairs = [mine.sum() * (~mine).sum() for mine in members]
    ranked = [np.nan_to_num(values, neginf=-99) for values in scores]
    each = [roc_auc_score(mine, values) for mine, values in zip(members, ranked, strict=True)]
    assert area == pytest.approx(np.average(each, weights=pairs))
    above = [values[mine] > values[~mine].max() for mine, values in zip(members, scores, strict=True)]
    assert found.tolist() == np.concatenate(above).tolist()  # of less than a hundred others, none may be accused
    weights = [np.ones((2, n)) for n in (30, 20)]
    assert membership(scores, members, weights)[0].tolist() == pytest.approx([area[0]] * 2)


def test_one_of_a_hundred_false_accusations_is_allowed():
    others = np.arange(200.0)
    scores, member = np.append(others, [197.5, 196.5]), np.arange(202) >= 200
    assert membership([scores], [member])[1].tolist() == [True, False]  # two of two hundred lie above 197


@pytest.mark.parametrize("count", [9, 300])
def test_the_share_below_a_quantile_of_few_lesions_is_what_order_statistics_say(count):
    rng = generator("order statistics", count)
    found = [stats.norm.cdf(np.quantile(rng.normal(size=count), 0.01)) for _ in range(4000)]
    mean, low, high = expected_below(count, 0.95)
    assert np.mean(found) == pytest.approx(mean, rel=0.05)
    assert np.mean((np.array(found) >= low) & (np.array(found) <= high)) == pytest.approx(0.95, abs=0.02)


def test_a_share_of_lesions_of_few_patients_is_less_certain():
    hits = np.repeat([True, False, False, False, False], 8)
    alone, together = (share_interval(hits, np.arange(40) // each, 0.95) for each in (1, 8))
    assert alone[0] == together[0] == 0.2
    assert together[2] - together[1] > 1.8 * (alone[2] - alone[1])
    none = share_interval(np.zeros(20, bool), np.arange(20), 0.95)
    assert none[:2] == (0, 0) and none[2] == pytest.approx(0.161, abs=0.001)  # Wilson, 0 of 20


def made(kind, name, count, part="", fold=0, smooth=0.7):
    """Rows and thumbnails of lesions that know nothing of each other, two per patient."""
    rng, rows, cubes = generator("made", kind, name, part), [], []
    for number in range(count):
        row = dict.fromkeys((column for column, type_ in MEASURED.columns.items() if type_ == "float64"), 0.0)
        row |= {column: float(rng.normal()) for column in ("diameter_mm", "sphericity", "elongation", "flatness")}
        row |= {"lesion_sd": float(rng.normal()), "lesion_skewness": float(rng.normal()), "contrast_hu": -40.0}
        case = f"{kind}{part}{number // 2}"
        row |= {"kind": kind, "synthesizer": name, "fold": fold, "organ": "liver", "part": part, "case_id": case}
        rows.append(row | {"lesion_id": f"{case}.{number}", "patient_id": case})
        cubes.append(thumbnail(lesion(rng, smooth=smooth)))
    return rows, cubes


def copied(rows, cubes, kind, name, count):
    """The first ``count`` lesions again, nearly."""
    rng, found = generator("copied", kind, name), []
    for number in range(count):
        row = dict(rows[number % len(rows)])
        row |= {column: row[column] + 0.01 * float(rng.normal()) for column in ("diameter_mm", "sphericity", "lesion_sd")}
        row |= {"kind": kind, "synthesizer": name, "part": "", "lesion_id": f"{row['lesion_id']}{COPY}{number}"}
        row |= {} if kind == PLANTED else {"patient_id": f"other{number // 2}", "case_id": f"other{number // 2}"}
        found.append(row)
    return found, [cubes[number % len(cubes)][::-1] + rng.normal(0, 3, (SIDE,) * 3) for number in range(count)]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Folder, numbers and distances of one honest synthesizer and of one of whose lesions half are copies."""
    folder = tmp_path_factory.mktemp("audited")
    training, unseen = made(REAL, "", 20, TRAINING), made(REAL, "", 30, HELD_OUT)
    honest, rest = made(PAINTED, "constant", 40), made(PAINTED, "copy_paste", 20)
    groups = [
        training,
        unseen,
        honest,
        rest,
        copied(*training, PLANTED, "", COPIES),
        copied(*training, PAINTED, "copy_paste", 20),
    ]
    rows, cubes = ([item for group in groups for item in group[which]] for which in (0, 1))
    write_lesions(folder, rows, cubes)
    return folder, *score(folder)


def write_lesions(folder, rows, cubes, order=None):
    order = np.arange(len(rows)) if order is None else order
    write_table(make_table([rows[place] for place in order], MEASURED), folder / "lesions.parquet", MEASURED)
    write_array(folder / "lesions.b2nd", np.array([cubes[place] for place in order], np.float16).reshape(-1, *(SIDE,) * 3))


def score(folder, source=None):
    names = ["constant", "copy_paste"]
    config = small_config(evaluation={"resamples": 200}, synthesis={"synthesizers": names})
    paths = [[(source or folder) / name] for name in ("lesions.parquet", "lesions.b2nd")]
    score_privacy(config, *paths, folder / "privacy.csv", folder / "distances.csv")
    return read_table(folder / "privacy.csv", PRIVACY), read_table(folder / "distances.csv", PRIVACY_DISTANCES)


def number(table, name, measure, by):
    here = table[(table["synthesizer"] == name) & (table["measure"] == measure) & (table["by"] == by)]
    here = here[here["organ"] == "liver"]
    assert len(here) == 1
    return here.iloc[0]


@pytest.mark.parametrize("by", ["features", "voxels"])
def test_copies_are_counted_and_honest_lesions_are_not(audited, by):
    _, table, _ = audited
    assert number(table, "", "planted", by)["value"] == 1
    assert number(table, "", "planted", by)["n"] == COPIES
    half, none = (number(table, name, "copies", by) for name in ("copy_paste", "constant"))
    assert half["value"] == pytest.approx(0.5, abs=0.05)
    assert half["ci_low"] > 0.2 > none["ci_high"]
    assert none["value"] <= 0.05
    assert half[["n", "n_training", "n_held_out"]].tolist() == [40, 20, 30]


@pytest.mark.parametrize("by", ["features", "voxels"])
def test_an_attacker_recognizes_who_was_copied_and_nobody_else(audited, by):
    _, table, _ = audited
    area, rate = (number(table, "copy_paste", f"membership_{what}", by) for what in ("auc", "tpr"))
    assert area["value"] > 0.98 and rate["value"] > 0.85
    assert area["ci_low"] > area["reference_high"] and rate["ci_low"] > rate["reference_high"]
    area = number(table, "constant", "membership_auc", by)
    assert area["ci_low"] < 0.5 < area["ci_high"]
    assert area["reference"] == pytest.approx(0.5, abs=0.05)


def test_the_ratio_of_distances_is_that_of_the_realism_table(audited):
    _, table, _ = audited
    assert number(table, "constant", "neighbor_ratio", "features")["value"] == pytest.approx(1, abs=0.3)
    ratio = number(table, "copy_paste", "neighbor_ratio", "features")
    assert ratio["value"] < ratio["reference_low"]


def test_every_lesion_but_those_learned_from_has_a_line(audited):
    *_, lines = audited
    assert lines.groupby(["kind", "synthesizer"]).size().to_dict() == {
        (HELD_OUT, ""): 30,
        (PAINTED, "constant"): 40,
        (PAINTED, "copy_paste"): 40,
        (PLANTED, ""): COPIES,
    }
    assert (lines["copy"] == (lines["outstanding"] > lines["limit"])).all()
    assert lines["held_out_distance"].notna().equals(lines["kind"] == PAINTED)
    planted = lines[lines["kind"] == PLANTED]
    assert (planted["nearest"] == planted["lesion_id"].map(lambda name: name.rpartition(COPY)[0])).all()


def test_the_order_of_rows_changes_nothing(audited, tmp_path):
    folder, *_ = audited
    rows, cubes = read_table(folder / "lesions.parquet").to_dict("records"), read_array(folder / "lesions.b2nd")
    write_lesions(tmp_path, rows, cubes, generator("order").permutation(len(rows)))
    score(tmp_path)
    for name in ("privacy.csv", "distances.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_of_few_lesions_nothing_is_said(tmp_path):
    groups = [made(REAL, "", 4, TRAINING), made(REAL, "", 30, HELD_OUT), made(PAINTED, "constant", 40)]
    write_lesions(tmp_path, *([item for group in groups for item in group[which]] for which in (0, 1)))
    table, lines = score(tmp_path)
    assert (table["note"] == NOT_ENOUGH).all() and table["value"].isna().all()
    assert number(table, "constant", "copies", "voxels")[["n", "n_training", "n_held_out"]].tolist() == [40, 4, 30]
    assert lines.empty


def test_files_that_do_not_fit_are_one_line(audited, tmp_path):
    folder, *_ = audited
    write_lesions(tmp_path, [], [])
    with pytest.raises(UserError, match=r"lesions\.parquet: holds no lesion"):
        score(tmp_path)
    write_table(read_table(folder / "lesions.parquet"), tmp_path / "lesions.parquet")
    with pytest.raises(
        UserError, match=r"lesions\.b2nd: expected thumbnails of the 150 lesions in .*; measure the lesions again"
    ):
        score(tmp_path)
    (tmp_path / "lesions.b2nd").unlink()
    with pytest.raises(UserError, match=r"lesions\.b2nd: not a readable array") as caught:
        score(tmp_path)
    assert "\n" not in str(caught.value)
