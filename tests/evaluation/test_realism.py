"""Realism: known answers on balls, chance where there is no difference, and planted differences and copies that are found."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, read_table, write_table
from freetumor.evaluation.aligned import alignment
from freetumor.evaluation.lesion_crops import (
    COPIES,
    COPY,
    HELD_OUT,
    MEASURED,
    PAINTED,
    PLANTED,
    REAL,
    TRAINING,
    measure_fold,
)
from freetumor.evaluation.lesion_features import (
    EDGES,
    LESION_FEATURES,
    MEASURES,
    PROFILE,
    RING_FEATURES,
    Crop,
    correlation_lengths,
    measure_lesion,
    principal_axes,
    signed_distance,
    sphericity,
    surface_area,
)
from freetumor.evaluation.radiomics import RADIOMICS
from freetumor.evaluation.realism import score_realism
from freetumor.evaluation.realism_tables import DISTRIBUTIONS, NOT_ENOUGH, PROFILES, REALISM
from freetumor.evaluation.two_samples import (
    FACTOR,
    classifier_test,
    kernel_distances,
    mean_band,
    neighbor_ratios,
    patient_weights,
    quantile_interval,
    size_matched,
)
from freetumor.preprocessing.store import read_array
from tests.factory import paint_bank, small_config

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8), (2.5, 1.25, 1.5)]


def radius_grid(spacing, half=30.0, center=(0.3, 0.2, 0.1)):
    """Distance in mm from a point near the middle of a cube."""
    axes = [(np.arange(round(2 * half / step)) + 0.5) * step - half - c for step, c in zip(spacing, center, strict=True)]
    return np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))


def ball_crop(spacing, radius=12.0, inside=40.0, outside=100.0, noise=0.0, organ=26.0):
    """A ball in a ball-shaped organ in fat."""
    distance = radius_grid(spacing)
    lesion = distance <= radius
    image = np.where(lesion, inside, np.where(distance <= organ, outside, -100.0))
    image = image + noise * generator("ball").normal(size=image.shape)
    return Crop(np.rint(image).astype(np.int16), lesion, (distance <= organ) & ~lesion, spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ball_has_the_size_the_shape_and_the_contrast_that_it_was_given(spacing):
    found = measure_lesion(ball_crop(spacing))
    assert found["diameter_mm"] == pytest.approx(24, rel=0.02)
    assert found["sphericity"] == pytest.approx(1, abs=0.03)
    assert found["elongation"] == pytest.approx(1, abs=0.03)
    assert found["flatness"] == pytest.approx(1, abs=0.05)
    assert found["contrast_hu"] == -60
    assert found["sd_hu"] == found["ring_sd_hu"] == 0
    assert set(found) == {*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE}


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_profile_steps_at_the_border_and_nowhere_else(spacing):
    found = measure_lesion(ball_crop(spacing))
    profile = np.array([found[name] for name in PROFILE])
    step = max(spacing)
    there = np.isfinite(profile)
    assert there.sum() >= 22  # of the two innermost bins the ball has less than they need
    assert profile[there & (EDGES[1:] <= -step)] == pytest.approx(40, abs=0.1)
    assert profile[there & (EDGES[:-1] >= step)] == pytest.approx(100, abs=0.1)
    assert (np.diff(profile[there]) > -0.1).all()
    assert 60 / (2 * step) <= found["gradient_hu_mm"] <= 30


def test_a_border_that_is_graded_over_more_millimeters_is_less_steep():
    crop = ball_crop((1.0, 1.0, 1.0))
    found = []
    for width in (0.5, 1.5, 3.0):
        soft = gaussian_filter(np.where(crop.lesion, 40.0, 100.0), width)
        image = np.where(crop.lesion | crop.organ, soft, -100).astype(np.int16)
        found.append(measure_lesion(Crop(image, crop.lesion, crop.organ, crop.spacing))["gradient_hu_mm"])
    assert found[0] > found[1] > found[2] > 0
    assert found[2] == pytest.approx(60 / (np.sqrt(2 * np.pi) * 3), rel=0.15)  # the slope of a blurred step at its middle


def test_fat_at_the_surface_of_the_organ_is_no_part_of_the_profile():
    """A lesion that bulges out of its organ: its outer part is mixed with fat in the image."""
    crop = ball_crop((2.0, 2.0, 2.0))
    organ = crop.organ.copy()
    organ[:, : organ.shape[1] // 2] = False
    image = np.where(organ | crop.lesion, crop.image, -100)
    mixed = np.rint(gaussian_filter(image.astype(float), 0.6)).astype(np.int16)
    found = measure_lesion(Crop(mixed, crop.lesion, organ, crop.spacing))
    profile = np.array([found[name] for name in PROFILE])
    assert np.isfinite(profile).sum() > 20
    assert np.nanmin(profile) > 30
    assert found["contrast_hu"] == pytest.approx(-60, abs=8)


def test_distances_are_those_from_the_surface_of_the_ball():
    fine = signed_distance(radius_grid((2.0, 1.0, 1.0)) <= 16, (2.0, 1.0, 1.0))
    expected = radius_grid((1.0, 1.0, 1.0)) - 16
    assert fine.shape == expected.shape
    near = np.abs(expected) < 12
    assert np.abs(fine - expected)[near].mean() < 0.6
    assert np.abs(fine - expected)[near].max() < 1.5
    assert ((fine < 0) == (expected < 0))[np.abs(expected) > 1].all()


def test_the_surface_of_a_box_is_that_of_the_published_weights():
    """Thirteen directions of cubic voxels see 7 % too little of faces along the axes, and nearly nothing of edges."""
    face, edge, corner = 0.04577789, 0.03698063, 0.03519564  # per direction of 26; Lehmann and Legland 2012
    seen = 4 * (face + 4 * edge / 2**0.5 + 4 * corner / 3**0.5)
    assert seen == pytest.approx(0.927, abs=0.001)
    assert surface_area(np.ones((90, 90, 90), bool), (1.0, 1.0, 1.0)) == pytest.approx(seen * 6 * 90**2, rel=0.01)


@pytest.mark.parametrize("spacing", [*SPACINGS, (5.0, 0.7, 0.7)])
def test_the_surface_of_a_ball_has_no_bias_from_voxels(spacing):
    assert surface_area(radius_grid(spacing) <= 20, spacing) == pytest.approx(4 * np.pi * 400, rel=0.02)


def test_a_long_lesion_is_elongated_and_less_spherical():
    axes = [np.arange(-30, 31.0)] * 3
    z, y, x = np.meshgrid(*axes, indexing="ij")
    cigar = (z / 24) ** 2 + (y / 8) ** 2 + (x / 8) ** 2 <= 1
    axes = principal_axes(cigar, (1.0, 1.0, 1.0))
    assert axes[1] / axes[0] == pytest.approx(1 / 3, rel=0.03)
    assert 0.7 < sphericity(cigar, (1.0, 1.0, 1.0)) < 0.9  # prolate 3 : 1 has 0.79


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.5, 1.5)])
def test_the_texture_length_of_blurred_noise_is_twice_the_blur(spacing):
    """Noise blurred by s has the autocorrelation exp(-d² / 4 s²), which is 1/e at 2 s."""
    distance, sigma = radius_grid(spacing, 36.0), 2.5
    noise = gaussian_filter(generator("texture").normal(size=distance.shape), [sigma / step for step in spacing])
    lengths = correlation_lengths(100 * noise / noise.std(), distance <= 34, spacing, distance - 34)
    assert lengths == pytest.approx((2 * sigma,) * 3, rel=0.12)


def test_the_texture_length_of_white_noise_is_a_part_of_a_voxel_and_grading_is_no_texture():
    spacing, distance = (2.0, 1.0, 1.0), radius_grid((2.0, 1.0, 1.0))
    noise = generator("white").normal(size=distance.shape) * 20
    for image in (noise, noise - 10 * distance):
        lengths = correlation_lengths(image, distance <= 20, spacing, distance - 20)
        assert lengths == pytest.approx((1 - np.exp(-1)) * np.array(spacing), rel=0.05)
    assert np.isnan(correlation_lengths(np.zeros_like(noise), distance <= 20, spacing, distance - 20)).all()


def test_nothing_of_the_lesion_leaks_into_what_is_said_of_its_ring():
    mild, strong = (measure_lesion(ball_crop((2.0, 1.5, 1.5), inside=hu, noise=15)) for hu in (90, -300))
    assert all(mild[name] == strong[name] for name in (*RING_FEATURES, "ring_sd_hu"))
    assert mild["contrast_hu"] != strong["contrast_hu"]


def test_a_lesion_without_a_ring_has_a_size_but_no_contrast_and_a_speck_has_nothing():
    crop = ball_crop((2.0, 2.0, 2.0))
    alone = measure_lesion(Crop(crop.image, crop.lesion, np.zeros_like(crop.organ), crop.spacing))
    assert alone["diameter_mm"] > 20 and alone["sphericity"] > 0.9
    assert np.isnan([alone["contrast_hu"], *(alone[name] for name in LESION_FEATURES)]).all()
    speck = np.zeros_like(crop.lesion)
    speck[10:12, 10:13, 10:13] = True
    assert measure_lesion(Crop(crop.image, speck, crop.organ, crop.spacing)) is None


def test_matched_lesions_have_the_same_sizes_and_the_same_number_of_partners():
    rng = generator("match")
    real, painted = rng.uniform(10, 40, 20), rng.uniform(5, 30, 300)
    a, b = size_matched(real, painted)
    assert len(b) % len(a) == 0 and len(b) >= len(a) > 5
    assert len(set(b)) == len(b)
    partners = len(b) // len(a)
    assert (np.sort(painted[b]) <= FACTOR**2 * np.repeat(np.sort(real[a]), partners)).all()
    assert real[a].max() <= FACTOR * painted.max()
    assert [len(side) for side in size_matched(np.array([10.0]), np.array([20.0]))] == [0, 0]


def patients(count, each, first=0):
    return np.array([f"p{first + number // each}" for number in range(count)])


def test_a_classifier_cannot_tell_equal_samples_apart_and_can_tell_shifted_and_wider_ones():
    rng = generator("auc")

    def area(shift, scale):
        samples = rng.normal(shift, scale, (60, 8)), rng.normal(size=(60, 8))
        return classifier_test(*samples, patients(60, 2), patients(60, 2, 15), 0.95, 300, rng, repeats=2)

    null = [area(0, 1) for _ in range(10)]
    assert np.mean([value for value, _, _ in null]) == pytest.approx(0.5, abs=0.06)
    assert sum(low <= 0.5 <= high for _, low, high in null) >= 7
    value, low, high = area(1.5, 1)
    assert value > 0.9 and low > 0.8 and high <= 1
    assert area(0, 3)[0] > 0.9  # the same mean


def test_a_classifier_learns_nothing_from_who_the_patient_is():
    """Lesions of a patient are alike. Without patients in the split, the classifier would recognize them."""
    rng, found = generator("groups"), []
    for _ in range(6):
        centers = rng.normal(size=(24, 6)) * 3
        values = np.repeat(centers, 5, axis=0) + rng.normal(size=(120, 6)) * 0.2
        names = patients(120, 5)
        found.append(classifier_test(values[:60], values[60:], names[:60], names[60:], 0.95, 50, rng, repeats=2)[0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)


def test_the_kernel_distance_lies_within_its_floor_only_where_there_is_no_difference():
    rng = generator("kernel")
    real = rng.normal(size=(60, 6))
    for shift, expected in ((0.0, True), (1.5, False)):
        painted = rng.normal(shift, 1, (80, 6))
        value, floor = kernel_distances(painted, real, patients(80, 2, 100), patients(60, 2), 0.95, rng)
        assert (floor[1] <= value[0] <= floor[2]) == expected
        assert floor[1] < 0 < floor[2]


def test_planted_copies_are_found_and_others_are_not():
    rng = generator("copies")
    training, held_out = rng.normal(size=(20, 5)), rng.normal(size=(30, 5))
    copies = np.concatenate([training + rng.normal(0, 0.1, training.shape)] * 2)
    ratios = neighbor_ratios(copies, training, held_out, patients(40, 1, 500), patients(20, 1), rng)
    assert np.median(ratios) < 0.2
    other = neighbor_ratios(rng.normal(size=(200, 5)), training, held_out, patients(200, 1, 500), patients(20, 1), rng)
    assert np.median(other) == pytest.approx(1, abs=0.15)
    own = neighbor_ratios(training, training, held_out, patients(20, 1), patients(20, 1), rng)
    assert np.median(own) > 0.7  # a patient's own lesion is no copy


def test_intervals_widen_when_lesions_come_from_few_patients():
    rng = generator("cluster")
    values = np.repeat(rng.normal(size=30), 4)
    apart, together = (patient_weights(patients(120, each), 1000, rng) for each in (1, 4))
    widths = [np.subtract(*quantile_interval(values, weights, 0.5, 0.95)[:0:-1]) for weights in (apart, together)]
    assert widths[1] > 1.3 * widths[0]
    bands = [mean_band(values[:, None], weights, 0.95) for weights in (apart, together)]
    assert np.ptp(bands[1][1:]) > 1.5 * np.ptp(bands[0][1:])
    assert bands[0][0, 0] == pytest.approx(values.mean())


def test_a_quantile_is_that_of_numpy():
    values = generator("quantile").normal(size=41)
    for share in (0.1, 0.5, 0.9):
        found = quantile_interval(values, np.ones((1, 41)), share, 0.95)[0]
        assert found == np.quantile(values, share, method="inverted_cdf")


def measured_rows(kind, synthesizer="", count=40, shift=0.0, size=1.0, part="", fold=0, key=0):
    """Lesions of one organ with every number drawn; ``shift`` moves their look, ``size`` their diameters."""
    rng = generator("measured", kind, synthesizer, key)
    names = (*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE, *RADIOMICS)
    rows = []
    for number in range(count):
        row = {name: float(rng.normal(0 if name.startswith("ring") else shift)) for name in names}
        case = f"{'a' if kind == REAL else 'b'}{key}.{number // 2}"
        row |= {"kind": kind, "synthesizer": synthesizer, "fold": fold, "organ": "liver", "part": part, "case_id": case}
        row |= {"lesion_id": f"{case}.{number}", "patient_id": case, "diameter_mm": size * float(rng.uniform(10, 30))}
        rows.append(row)
    return rows


def make_measured(folder, shift=0.0, painted=60, order=None):
    rows = measured_rows(REAL, count=24, part=TRAINING) + measured_rows(REAL, count=30, part=HELD_OUT, key=1)
    rows += measured_rows(PAINTED, "constant", painted, shift, 1.2)
    table = make_table(rows, MEASURED)
    table = table if order is None else table.iloc[order.permutation(len(table))]
    path = folder / "lesions.parquet"
    write_table(table, path, MEASURED)
    return path


def scored(folder, path, **changes):
    config = small_config(evaluation={"resamples": 200}, **changes)
    score_realism(config, [path], folder / "realism.csv", folder / "profiles.csv", folder / "distributions.csv")
    return read_table(folder / "realism.csv", REALISM), read_table(folder / "profiles.csv", PROFILES)


def number(table, measure, statistic, organ="liver"):
    here = table[(table["measure"] == measure) & (table["statistic"] == statistic) & (table["organ"] == organ)]
    assert len(here) == 1
    return here.iloc[0]


@pytest.fixture(scope="module")
def like_and_shifted(tmp_path_factory):
    """Folders of the scores of painted lesions like the real ones, and of shifted ones, with both tables; by shift."""
    found = {}
    for shift in (0.0, 2.0):
        folder = tmp_path_factory.mktemp("scored")
        found[shift] = folder, *scored(folder, make_measured(folder, shift))
    return found


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_like_lesions_look_alike_and_shifted_ones_do_not(like_and_shifted, shift):
    _, table, profiles = like_and_shifted[shift]
    lesions, rings = (number(table, name, "auc") for name in ("lesions", "rings"))
    assert (lesions["value"] > 0.9) == (shift > 0)
    assert rings["ci_low"] < 0.5 < rings["ci_high"]
    far = [
        ("contrast_hu", "distance"),
        *((space, name) for space in ("features", "radiomics") for name in ("kernel", "frechet")),
    ]
    for measure, statistic in far:
        row = number(table, measure, statistic)
        assert (row["value"] > row["reference_high"]) == (shift > 0), measure
    for space in ("features", "radiomics"):
        for statistic in ("density", "coverage"):
            row = number(table, space, statistic)
            assert (row["value"] < row["reference_low"]) == (shift > 0), statistic
    middle = number(table, "contrast_hu", "q50")
    assert middle["value"] - middle["reference"] == pytest.approx(shift, abs=0.7)
    assert (profiles["value"] - profiles["reference"]).mean() == pytest.approx(shift, abs=0.15)
    assert (profiles["ci_low"] <= profiles["value"]).all() and (profiles["value"] <= profiles["ci_high"]).all()
    copies = number(table, "lesions", "neighbor")
    assert copies["reference_low"] <= copies["value"] <= copies["reference_high"]


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_every_radiomics_feature_is_tested_on_lesions_of_the_same_sizes(like_and_shifted, shift):
    folder, table, _ = like_and_shifted[shift]
    tests = read_table(folder / "distributions.csv", DISTRIBUTIONS)
    liver = tests[tests["organ"] == "liver"]
    assert tuple(liver["feature"]) == RADIOMICS
    assert (liver["n"] == number(table, "lesions", "auc")["n"]).all()
    assert ((liver["p_adjusted"] < 0.05).mean() > 0.9) == (shift > 0)
    assert (tests.loc[tests["organ"] == "pancreas", "note"] == NOT_ENOUGH).all()


def test_sizes_are_those_of_all_lesions_and_the_rest_is_matched(like_and_shifted):
    _, table, _ = like_and_shifted[0.0]
    size, lesions = number(table, "diameter_mm", "q50"), number(table, "lesions", "auc")
    assert (size["n"], size["n_real"]) == (60, 54)
    assert lesions["n"] % lesions["n_real"] == 0 and lesions["n_real"] < 54


def test_the_order_of_rows_changes_nothing(like_and_shifted, tmp_path):
    folder, _, _ = like_and_shifted[2.0]
    scored(tmp_path, make_measured(tmp_path, 2.0, order=generator("order")))
    for name in ("realism.csv", "profiles.csv", "distributions.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_of_few_lesions_nothing_is_said(tmp_path):
    table, profiles = scored(tmp_path, make_measured(tmp_path, painted=8))
    assert (table["note"] == NOT_ENOUGH).all()
    assert table["value"].isna().all() and table["reference"].isna().all()
    assert number(table, "diameter_mm", "q50")[["n", "n_real", "patients_real"]].tolist() == [8, 54, 27]
    assert profiles.empty
    assert number(table, "lesions", "auc", "pancreas")["n_real"] == 0


def test_without_any_lesion_there_is_one_line(tmp_path):
    path = tmp_path / "lesions.parquet"
    write_table(make_table([], MEASURED), path, MEASURED)
    with pytest.raises(UserError, match=r"lesions\.parquet: holds no lesion") as caught:
        scored(tmp_path, path)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_kind_is_one_line(tmp_path):
    path = tmp_path / "other.parquet"
    pd.DataFrame({"kind": ["real"]}).to_parquet(path)
    with pytest.raises(UserError, match=r"other\.parquet: table of measured lesions: columns missing: synthesizer") as caught:
        scored(tmp_path, path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def measured(study, fold, tmp_path_factory):
    """Real, painted and planted lesions of the small fold, measured: the manifest, the table and the thumbnails."""
    folder = tmp_path_factory.mktemp("measured")
    manifest = paint_bank(study, fold, folder / "constant", 1)
    measure_fold(study, 0, fold, [manifest], folder / "lesions.parquet", folder / "lesions.b2nd")
    return read_table(manifest), read_table(folder / "lesions.parquet", MEASURED), read_array(folder / "lesions.b2nd")


def test_every_lesion_of_a_fold_is_measured_as_it_was_made(measured):
    manifest, table, _ = measured
    real = table[table["kind"] == REAL]
    assert real.groupby(["organ", "part"]).size().to_dict() == {
        ("liver", HELD_OUT): 2,
        ("liver", TRAINING): 3,
        ("pancreas", HELD_OUT): 2,
        ("pancreas", TRAINING): 3,
    }
    liver = real[real["organ"] == "liver"]
    assert liver["diameter_mm"].between(18, 22.5).all()  # balls of 21.6 mm, some cut by the organ
    assert liver["contrast_hu"].between(-57, -43).all()  # made 50 HU darker
    accepted = manifest[manifest["outcome"] == "accepted"].set_index("lesion_id")
    painted = table[table["kind"] == PAINTED].set_index("lesion_id")
    assert len(painted) and set(painted.index) <= set(accepted.index)
    assert painted["diameter_mm"].to_numpy() == pytest.approx(accepted.loc[painted.index, "diameter_mm"].to_numpy())
    assert (painted["patient_id"] == accepted.loc[painted.index, "patient_id"]).all()


def test_planted_copies_are_measured_like_their_originals_and_recognized(measured):
    _, table, cubes = measured
    assert len(cubes) == len(table) and cubes.dtype == np.float16
    planted = table[table["kind"] == PLANTED]
    assert planted.groupby("organ").size().to_dict() == {"liver": COPIES, "pancreas": COPIES}
    original = planted["lesion_id"].map(lambda name: name.rpartition(COPY)[0])
    originals = table[table["part"] == TRAINING].set_index("lesion_id").loc[original]
    assert set(original) == set(table.loc[table["part"] == TRAINING, "lesion_id"])
    for name in ("diameter_mm", "patient_id", "case_id"):
        assert planted[name].tolist() == originals[name].tolist()
    assert planted["lesion_sd"].to_numpy() == pytest.approx(np.hypot(originals["lesion_sd"], 5).to_numpy(), rel=0.1)
    mine, real = (((table["kind"] == kind) & (table["organ"] == "liver")).to_numpy() for kind in (PLANTED, REAL))
    _, outstanding = alignment(cubes[mine].astype(np.float32), cubes[real].astype(np.float32))
    nearest = table.loc[real, "lesion_id"].to_numpy()[outstanding.argmax(axis=1)]
    assert nearest.tolist() == original[planted["organ"] == "liver"].tolist()
