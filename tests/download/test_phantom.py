"""The phantom cohort: anatomy, roles, determinism, hospitals."""

import hashlib
import json
import shutil

import edt
import nibabel
import numpy as np
import pytest

from freetumor.core.config import PhantomSource
from freetumor.core.tables import RAW_CASES, read_table
from freetumor.download.lesions import ORGANS
from freetumor.download.phantom import CODES, TRUTH, download_phantom, make_phantom, plan_cases
from freetumor.download.scanner import SCANNERS, as_stored


def cohort(domain, seed, **counts):
    return PhantomSource(name=f"test_{domain}", kind="phantom", domain=domain, seed=seed, **counts)


SOURCE = cohort("a", 3, labeled=3, tumor_free=1, unlabeled=1, hidden_tumor_share=1.0)
OTHER = cohort("b", 4, labeled=3, tumor_free=0, unlabeled=0)


@pytest.fixture(scope="module")
def phantoms():
    """One scan of each machine and role: (source, planned case, phantom)."""
    return [(source, case, make_phantom(source, case)) for source in (SOURCE, OTHER) for case in plan_cases(source)]


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    source = cohort("b", 5, labeled=1, tumor_free=0, unlabeled=1, hidden_tumor_share=1.0)
    download_phantom(source, folder / "cases.csv", workers=1)
    return source, folder


def organ_mask(phantom, organ, domain):
    codes = CODES[domain]
    return (phantom.label == codes[organ]) | (phantom.label == codes[f"{organ}_tumor"])


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_machine_is_used(phantoms):
    used = {phantom.scanner.name for *_, phantom in phantoms}
    assert used == {scanner.name for family in SCANNERS.values() for scanner in family}


def test_organs_have_the_volumes_and_hu_of_adults(phantoms):
    # Ranges that hold about all adults; portal to late arterial phase.
    volumes = {"liver": (900, 2000), "pancreas": (25, 130), "kidney": (130, 450)}
    intensities = {"liver": (55, 130), "pancreas": (45, 130), "kidney": (100, 220)}
    for source, case, phantom in phantoms:
        for organ in ORGANS:
            mask = organ_mask(phantom, organ, source.domain)
            milliliters = np.count_nonzero(mask) * np.prod(phantom.grid.spacing) / 1000
            assert volumes[organ][0] < milliliters < volumes[organ][1], (case.case_id, organ)
            healthy = phantom.image[mask & (phantom.tumor == 0)].mean()
            assert intensities[organ][0] < healthy < intensities[organ][1], (case.case_id, organ)
        assert phantom.image.min() >= -1024
        assert np.median(phantom.image[:, 0, 0]) == pytest.approx(-1000, abs=30)


def test_the_anatomy_is_right_in_the_world_however_the_file_is_stored(phantoms):
    for source, case, phantom in phantoms:
        label, affine = as_stored(phantom.label, phantom.grid, phantom.scanner)
        codes = CODES[source.domain]

        def places(organ, label=label, affine=affine, codes=codes):
            return nibabel.affines.apply_affine(affine, np.argwhere(label == codes[organ]))

        liver, pancreas, kidney = places("liver"), places("pancreas"), places("kidney")
        assert liver[:, 0].mean() > 30, case.case_id  # RAS: x grows toward the patient's right
        assert abs(kidney[:, 0].mean()) < 20
        assert kidney[:, 0].min() < -60 < 60 < kidney[:, 0].max()
        assert liver[:, 2].mean() > kidney[:, 2].mean() + 10
        assert kidney[:, 1].mean() < pancreas[:, 1].mean() - 10  # RAS: the kidneys lie behind the pancreas


def test_the_same_patient_in_two_machines_is_the_same_anatomy():
    case = plan_cases(cohort("a", 9, labeled=0, tumor_free=1, unlabeled=0))[0]
    source = cohort("a", 9, labeled=0, tumor_free=1, unlabeled=0)
    machines = {scanner.name: scanner for scanner in SCANNERS["a"]}
    straight = make_phantom(source, case, machines["a-axial"])
    tilted = make_phantom(source, case, machines["a-tilted"])
    label, affine = as_stored(straight.label, straight.grid, straight.scanner)
    other, other_affine = as_stored(tilted.label, tilted.grid, tilted.scanner)
    index = np.argwhere(label == CODES["a"]["liver"])
    world = nibabel.affines.apply_affine(affine, index)
    there = np.rint(nibabel.affines.apply_affine(np.linalg.inv(other_affine), world)).astype(int)
    inside = ((there >= 0) & (there < other.shape)).all(1)
    assert inside.mean() > 0.97
    assert np.mean(other[tuple(there[inside].T)] == CODES["a"]["liver"]) > 0.95


def test_scans_of_one_hospital_have_the_noise_of_ct(phantoms):
    for source, case, phantom in phantoms:
        if source.domain == "a":
            liver = organ_mask(phantom, "liver", "a") & (phantom.tumor == 0)
            deep = edt.edt(np.ascontiguousarray(liver), anisotropy=phantom.grid.spacing) > 8
            assert 18 < phantom.image[deep].std() < 27, case.case_id


def test_the_other_hospital_differs_in_phase_noise_and_slices(phantoms):
    def mean_over(domain, measure):
        return np.mean([measure(phantom) for source, _, phantom in phantoms if source.domain == domain])

    def liver(phantom, domain):
        return phantom.image[organ_mask(phantom, "liver", domain) & (phantom.tumor == 0)]

    assert mean_over("a", lambda p: liver(p, "a").mean()) > mean_over("b", lambda p: liver(p, "b").mean()) + 8
    assert mean_over("a", lambda p: liver(p, "a").std()) > mean_over("b", lambda p: liver(p, "b").std()) + 2
    assert mean_over("a", lambda p: p.grid.spacing[0]) < mean_over("b", lambda p: p.grid.spacing[0]) - 0.8


def test_roles_decide_what_is_annotated(phantoms):
    for source, case, phantom in phantoms:
        codes = CODES[source.domain]
        annotated = np.isin(phantom.label, [codes[f"{organ}_tumor"] for organ in ORGANS])
        if case.role == "labeled":
            np.testing.assert_array_equal(annotated, phantom.tumor > 0)
        else:
            assert not annotated.any()
        assert (phantom.tumor > 0).any() == case.diseased
        assert case.diseased == (case.role == "labeled" or case.role == "unlabeled")


def test_a_hidden_tumor_is_seen_in_the_image_and_labeled_as_its_organ(phantoms):
    _, case, phantom = next(entry for entry in phantoms if entry[1].role == "unlabeled" and entry[1].diseased)
    for index, organ in enumerate(ORGANS):
        hidden = phantom.tumor == index + 1
        if hidden.any():
            assert (phantom.label[hidden] == CODES["a"][organ]).all()
            healthy = organ_mask(phantom, organ, "a") & (phantom.tumor == 0)
            assert abs(phantom.clean[hidden].mean() - phantom.clean[healthy].mean()) > 5, case.case_id


def test_exactly_the_share_of_the_unlabeled_cases_is_diseased():
    for share in (0.0, 0.25, 0.3, 1.0):
        source = cohort("a", 1, labeled=2, tumor_free=2, unlabeled=20, hidden_tumor_share=share)
        cases = plan_cases(source)
        assert sum(case.diseased for case in cases if case.role == "unlabeled") == round(20 * share)
        assert len({case.case_id for case in cases}) == len({case.patient_id for case in cases}) == 24


def test_the_number_of_workers_changes_no_byte(downloaded, tmp_path, monkeypatch):
    source, folder = downloaded
    # Paths in the table start with the output's folder: give both runs the same.
    monkeypatch.chdir(folder.parent)
    first = tmp_path / "first"
    shutil.copytree(folder, first)
    shutil.rmtree(folder)
    download_phantom(source, folder / "cases.csv", workers=2)
    assert digests(folder) == digests(first)
    assert len(digests(folder)) == 2 * 3 + 2


def test_what_is_valid_is_kept_and_what_is_damaged_is_made_again(downloaded):
    source, folder = downloaded
    before = digests(folder)
    kept, damaged = sorted((folder / "images").iterdir())
    stamp = kept.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:1000])
    download_phantom(source, folder / "cases.csv", workers=1)
    assert digests(folder) == before
    assert kept.stat().st_mtime_ns == stamp


def test_the_tables_say_what_was_made(downloaded):
    _source, folder = downloaded
    cases = read_table(folder / "cases.csv", RAW_CASES)
    truth = read_table(folder / "truth.csv", TRUTH)
    assert cases["labeled"].tolist() == [True, False]
    assert set(truth.loc[truth["kind"] == "tumor", "case_id"]) == set(cases["case_id"])
    tumors = truth[truth["kind"] == "tumor"]
    assert (tumors["hidden"] == (tumors["case_id"] == "test_b-0001")).all()
    for row in cases.itertuples():
        (entry,) = json.loads(row.labels)
        label = np.asarray(nibabel.load(entry["path"]).dataobj)
        image = nibabel.load(row.image)
        assert image.get_data_dtype() == np.int16
        assert label.dtype == np.uint8
        assert label.shape == image.shape
        names = {entry["map"][str(code)] for code in np.unique(label) if code}
        assert {"liver", "pancreas", "kidney"} <= names
        volume = truth.loc[(truth["case_id"] == row.case_id) & (truth["kind"] == "tumor"), "diameter_mm"]
        if row.labeled:
            codes = [int(code) for code, name in entry["map"].items() if name.endswith("_tumor")]
            voxel = abs(np.linalg.det(image.affine[:3, :3]))
            assert np.isin(label, codes).sum() * voxel == pytest.approx(np.pi / 6 * (volume**3).sum(), rel=0.01)
