"""The cohort of lesion slices: appearances, sizes, surroundings, determinism, difficulty."""

import hashlib
import json
import math
import shutil

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from freetumor.core.config import RoiPhantomSource
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import RAW_CASES, read_table
from freetumor.download.roi_lesions import draw_likeness
from freetumor.download.roi_phantom import CODES, SCANNERS, TRUTH, download_roi_phantom, make_roi, plan_rois
from freetumor.download.sources import download_source
from tests.regions import region_config

LIVER, LESION = CODES["liver"], CODES["liver_tumor"]


def cohort(count=4, **changes):
    lesions = dict.fromkeys(("cyst", "metastasis", "hemangioma"), count)
    return RoiPhantomSource(**({"name": "rois", "kind": "roi_phantom", "seed": 5, "lesions": lesions} | changes))


@pytest.fixture(scope="module")
def typical():
    """Typical lesions of 25 to 50 mm: (category, slice)."""
    source = cohort(ambiguity=0.0, diameter=(25, 50))
    return [(case.category, make_roi(source, case)) for case in plan_rois(source)]


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rois")
    source = cohort(count=1)
    download_roi_phantom(source, folder / "cases.csv", workers=1)
    return source, folder


def inside(roi, shrink=0.0):
    """Pixels of the lesion at least ``shrink`` mm below its edge."""
    from edt import edt

    mask = np.ascontiguousarray(roi.label[0] == LESION)
    return edt(mask, anisotropy=roi.grid.spacing[1:], parallel=1) > shrink if shrink else mask


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_lesions_are_as_many_as_asked_for_and_one_category_does_not_change_another():
    few = plan_rois(cohort(lesions={"cyst": 2, "hemangioma": 1}))
    many = plan_rois(cohort(lesions={"cyst": 5, "hemangioma": 1}))
    assert [case.category for case in few] == ["cyst", "cyst", "hemangioma"]
    assert set(few) < set(many)
    assert len({case.patient_id for case in many}) == 6
    paper = plan_rois(RoiPhantomSource(name="rois", kind="roi_phantom"))
    assert [sum(case.category == name for case in paper) for name in ("cyst", "metastasis", "hemangioma")] == [53, 64, 65]


def test_a_slice_has_a_lesion_in_a_liver_and_room_around_it(typical):
    for _, roi in typical:
        assert roi.image.shape == roi.label.shape == (1, *roi.image.shape[1:])
        lesion = roi.label[0] == LESION
        assert 1.25 <= roi.grid.spacing[0] <= 5
        assert 0.6 <= roi.grid.spacing[1] <= 0.85
        sides = np.array(roi.image.shape[1:]) * roi.grid.spacing[1:]
        assert (sides >= 2.4 * roi.diameter_mm).all()
        center = np.argwhere(lesion).mean(axis=0) * roi.grid.spacing[1:]
        assert (np.abs(center - sides / 2) < 0.06 * sides).all()
        healthy = roi.image[roi.label == LIVER]
        assert 75 < healthy.mean() < 135
        assert 8 < healthy.std() < 30
        assert (roi.image[roi.label == 0] < -50).any()  # fat lies outside the liver


def test_typical_lesions_look_as_published(typical):
    for category, roi in typical:
        clean, core = roi.clean[0], inside(roi, 0.2 * roi.diameter_mm)
        host = float(np.median(clean[roi.label[0] == LIVER]))
        edge = inside(roi, 1.5) & ~core
        if category == "cyst":
            values = clean[inside(roi, 1.5)]
            assert values.min() >= -1
            assert values.max() <= 17
            assert np.ptp(values) < 0.1
        else:
            assert 20 < host - clean[core].mean() < 90
            bright = (clean[edge] > host + 10).mean()
            assert bright < 0.03 if category == "metastasis" else 0.03 < bright < 0.6


def test_cysts_have_sharper_rims_than_metastases(typical):
    widths = {name: [] for name in ("cyst", "metastasis")}
    for category, roi in typical:
        if category in widths:
            clean = roi.clean[0]
            host = float(np.median(clean[roi.label[0] == LIVER]))
            depth = host - float(np.median(clean[inside(roi, 0.25 * roi.diameter_mm)]))
            deep = inside(roi, 2.5) & ~inside(roi, 3.5)
            widths[category].append((host - clean[deep].mean()) / depth)  # share of the full depth 3 mm inside
    assert min(widths["cyst"]) > 0.9
    assert np.mean(widths["metastasis"]) < 0.75


def test_diameters_fill_the_interval_evenly_on_a_logarithmic_scale():
    source = cohort(count=60, diameter=(10, 102))
    rng = [generator(source.seed, "download", "roi_phantom", case.case_id, "lesion") for case in plan_rois(source)]
    shares = (np.log([np.exp(r.uniform(*np.log(source.diameter))) for r in rng]) - math.log(10)) / math.log(10.2)
    assert np.histogram(shares, 4, (0, 1))[0].min() > 30  # 45 expected
    for diameter in (10.0, 30.0, 100.0):
        roi = make_roi(cohort(diameter=(diameter, diameter * 1.001)), plan_rois(source)[0])
        assert roi.diameter_mm == pytest.approx(diameter, rel=0.03 if diameter < 50 else 0.2)  # the liver ends


def test_ambiguity_brings_metastases_and_hemangiomas_together():
    def separated(ambiguity):
        drawn = [
            [draw_likeness(name, ambiguity, generator(name, k)) for k in range(400)] for name in ("metastasis", "hemangioma")
        ]
        return np.mean([np.less(drawn[0], 0.5).mean(), np.greater(drawn[1], 0.5).mean()])

    assert separated(0.0) == 1
    assert separated(0.5) == pytest.approx(0.89, abs=0.03)  # normal, 0.25 from the middle with deviation 0.2
    assert separated(1.0) == pytest.approx(0.5, abs=0.05)
    assert math.isnan(draw_likeness("cyst", 0.5, generator("cyst")))


def test_every_machine_is_used_and_its_noise_is_in_the_slice():
    source = cohort(count=12, diameter=(12, 14))
    rois = [make_roi(source, case) for case in plan_rois(source)[:14]]
    assert {roi.scanner.name for roi in rois} == {scanner.name for scanner in SCANNERS}
    for roi in rois:
        rest = roi.image - roi.clean
        assert rest.std() == pytest.approx(roi.scanner.noise, rel=0.08)
        assert gaussian_filter(rest, (0, 2, 2)).std() > 1.5 * roi.scanner.noise / (2 * math.sqrt(math.pi) * 2)  # not white


def test_the_tables_name_the_files_and_the_truth(downloaded):
    source, folder = downloaded
    rows = read_table(folder / "cases.csv", RAW_CASES)
    assert rows["category"].tolist() == list(source.lesions)
    assert rows["labeled"].all()
    truth = read_table(folder / "truth.csv", TRUTH).set_index("case_id")
    for row in rows.to_dict("records"):
        (entry,) = json.loads(row["labels"])
        assert entry["map"] == {"1": "liver", "2": "liver_tumor"}
        image, label = nibabel.load(row["image"]), nibabel.load(entry["path"])
        assert image.shape == label.shape
        assert image.shape[2] == 1
        area = np.count_nonzero(np.asarray(label.dataobj) == 2) * np.prod(image.header.get_zooms()[:2])
        assert truth.loc[row["case_id"], "diameter_mm"] == pytest.approx(2 * math.sqrt(area / math.pi), abs=0.01)
    assert truth["likeness"].isna().tolist() == [True, False, False]


def test_workers_and_interruptions_change_no_byte(downloaded, tmp_path, monkeypatch):
    source, folder = downloaded
    monkeypatch.chdir(folder.parent)
    shutil.copytree(folder, tmp_path / "rois")
    first = next((tmp_path / "rois" / "images").iterdir())
    first.write_bytes(first.read_bytes()[:-5])
    monkeypatch.chdir(tmp_path)
    kept = sorted((tmp_path / "rois" / "images").iterdir())[1].stat().st_mtime_ns
    download_roi_phantom(source, folder.parent / "rois2" / "cases.csv", workers=2)
    download_roi_phantom(source, tmp_path / "rois" / "cases.csv", workers=1)
    assert sorted((tmp_path / "rois" / "images").iterdir())[1].stat().st_mtime_ns == kept
    names = [name for name in digests(folder) if name.endswith((".gz", "truth.csv"))]
    for other in (tmp_path / "rois", folder.parent / "rois2"):
        assert {name: digests(other)[name] for name in names} == {name: digests(folder)[name] for name in names}


def test_other_settings_make_other_files(downloaded, tmp_path):
    source, folder = downloaded
    shutil.copytree(folder, tmp_path / "rois")
    download_roi_phantom(source.model_copy(update={"ambiguity": 0.9}), tmp_path / "rois" / "cases.csv", workers=1)
    changed = [name for name, value in digests(folder).items() if digests(tmp_path / "rois")[name] != value]
    assert any(name.startswith("images/") for name in changed)


def test_a_category_that_the_study_does_not_name_is_a_mistake(tmp_path):
    config = region_config(categories=["cyst", "metastasis"])
    with pytest.raises(UserError, match=r"sources\.made\.lesions: 'hemangioma' is not among categories \(cyst, metastasis\)"):
        download_source(config, "made", tmp_path / "cases.csv")
