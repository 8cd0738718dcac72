"""A user's own lesions: what the CSV may say, pictures, and mistakes in one line."""

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from freetumor.core.config import RoiFolderSource
from freetumor.core.errors import UserError
from freetumor.core.tables import QUARANTINE, RAW_CASES, VOLUMES, read_table
from freetumor.download.roi_folder import check_source, index_rois
from freetumor.download.sources import download_source
from freetumor.preprocessing.store import read_array
from freetumor.preprocessing.volumes import preprocess_shard
from tests.regions import region_config

CATEGORIES = ("cyst", "metastasis", "hemangioma")


def source(root, **keys):
    return RoiFolderSource(**({"name": "mine", "kind": "roi_folder", "root": str(root), "table": "rois.csv"} | keys))


def write_rows(root, *lines, header="image,category,patient_id"):
    (root / "rois.csv").write_text("\n".join([header, *lines]) + "\n")


def index(root, **keys):
    configured = source(root, **keys)
    check_source(configured)
    return index_rois(configured, CATEGORIES, root / "out" / "cases.csv")


def gray(shape=(40, 50), bits=8):
    """A picture with a dark disk in its middle."""
    y, x = np.indices(shape)
    rng = np.random.default_rng(1)
    values = np.where(np.hypot(y - 19.5, x - 24.5) < 10, 0.4, 0.7) + rng.normal(0, 0.04, shape)
    return np.rint(values * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def test_rows_become_cases_with_masks_boxes_or_neither(tmp_path):
    write_rows(
        tmp_path,
        "ct/a.nii.gz,cyst,p1,,m/a.nii.gz,,,,,",
        "ct/b.nrrd,metastasis,p2,first,,4,10,20,5,35",
        "ct/b.nrrd,hemangioma,p2,second,m/b.nrrd,9,1,2,3,4",
        "/elsewhere/c.mha,cyst,p3,,,,,,,",
        header="image,category,patient_id,case_id,mask,slice,x0,x1,y0,y1",
    )
    rows = index(tmp_path, domain="x")
    assert [row["case_id"] for row in rows] == ["a", "c", "first", "second"]
    assert [row["category"] for row in rows] == ["cyst", "cyst", "metastasis", "hemangioma"]
    assert [row["patient_id"] for row in rows] == ["p1", "p3", "p2", "p2"]
    assert all(row["labeled"] and row["source"] == "mine" and row["domain"] == "x" for row in rows)
    assert json.loads(rows[0]["labels"]) == [{"path": f"{tmp_path}/m/a.nii.gz", "map": {"*": "liver_tumor"}}]
    assert rows[1]["image"] == "/elsewhere/c.mha"
    assert (rows[0]["region"], rows[1]["region"], rows[1]["labels"]) == ("", "", "[]")
    assert json.loads(rows[2]["region"]) == {"slice": 4, "box": [5, 35, 10, 20]}
    assert json.loads(rows[3]["labels"])
    assert json.loads(rows[3]["region"]) == {"slice": 9, "box": [3, 4, 1, 2]}
    assert not (tmp_path / "out").exists()  # nothing is copied


@pytest.mark.parametrize("bits", [8, 16])
def test_a_picture_becomes_a_slice_in_hu(tmp_path, bits):
    values = gray(bits=bits)
    Image.fromarray(values).save(tmp_path / "Crop.PNG")
    mask = np.zeros((40, 50, 3), np.uint8)
    mask[10:30, 15:35] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    write_rows(tmp_path, "Crop.PNG,cyst,p1,mask.png", header="image,category,patient_id,mask")
    (row,) = index(tmp_path, intensity=(-100, 200), pixel_mm=0.8)
    assert row["case_id"] == "Crop"
    image = nibabel.load(row["image"])
    assert image.header.get_zooms() == pytest.approx((0.8, 0.8, 0.8))
    stored = np.asarray(image.dataobj)[..., 0].T
    np.testing.assert_allclose(stored, -100 + 300 * values.astype(float) / (2**bits - 1), atol=0.51)
    label = np.asarray(nibabel.load(json.loads(row["labels"])[0]["path"]).dataobj)[..., 0].T
    np.testing.assert_array_equal(label, mask[..., 0] > 0)


def test_pictures_go_through_preprocessing_with_a_mask_a_box_or_neither(tmp_path):
    picture = gray()
    Image.fromarray(picture).save(tmp_path / "whole.png")
    for name in ("masked", "boxed"):
        Image.fromarray(np.flip(picture, 0) if name == "boxed" else np.flip(picture, 1)).save(tmp_path / f"{name}.png")
    y, x = np.indices(picture.shape)
    Image.fromarray(((np.hypot(y - 19.5, x - 24.5) < 10) * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    write_rows(
        tmp_path,
        "whole.png,cyst,p1,,,,,",
        "masked.png,metastasis,p2,mask.png,,,,",
        "boxed.png,hemangioma,p3,,15,35,10,30",
        "gone.png,cyst,p4,,,,,",
        header="image,category,patient_id,mask,x0,x1,y0,y1",
    )
    keys = source(tmp_path, intensity=(-50, 200)).model_dump()
    config = region_config(24, sources=[keys], checks={"extent": [2, 2500], "max_quarantined": 0.5})
    out = tmp_path / "out"
    download_source(config, "mine", out / "cases.csv")
    assert len(read_table(out / "cases.csv", RAW_CASES)) == 4
    preprocess_shard(config, "mine", out / "cases.csv", 0, out / "v.parquet", out / "q.tsv", out / "store")
    volumes = read_table(out / "v.parquet", VOLUMES).set_index("case_id")
    assert read_table(out / "q.tsv", QUARANTINE)[["case_id", "code"]].to_numpy().tolist() == [["gone", "file_missing"]]
    assert volumes["diameter_mm"].to_dict() == pytest.approx({"whole": 40 / 1.5, "masked": 20, "boxed": 20}, rel=0.03)
    for case_id in ("masked", "boxed"):
        label, image = (read_array(volumes.loc[case_id, kind])[0] for kind in ("label", "image"))
        lesion = label == 1
        assert image[lesion].mean() == pytest.approx(-50 + 250 * 0.4, abs=4)
        np.testing.assert_allclose(np.argwhere(lesion).mean(axis=0), (len(label) - 1) / 2, atol=0.5)


@pytest.mark.parametrize(
    ("lines", "header", "keys", "message"),
    [
        ([], "image,category,patient_id", {"root": "nowhere"}, "sources.mine.root: nowhere is not a folder"),
        ([], "image,category,patient_id", {"table": "no.csv"}, "sources.mine.table: .*no.csv not found"),
        ([], "image,category,patient_id", {}, "lists no lesion"),
        (["a,b"], "image,patient_id", {}, "column category missing; expected image, category, patient_id"),
        (["a,cyst,"], "image,category,patient_id", {}, "line 2: patient_id is empty"),
        (["a,,p"], "image,category,patient_id", {}, "line 2: category is empty"),
        (["a,cyst,p,1,2"], "image,category,patient_id,x0,x1", {}, "a box needs the columns y0, y1, x0, x1"),
        (["a,cyst,p,1,2,3,x"], "image,category,patient_id,x0,x1,y0,y1", {}, "line 2: box and slice must be whole numbers"),
        (["a,cyst,p,5,2,3,9"], "image,category,patient_id,x0,x1,y0,y1", {}, "line 2: a box needs 0 <= y0 < y1"),
        (["a,cyst,p"], "image,category,patient_id", {"structure": "liver"}, "sources.mine.structure: 'liver' is no lesion"),
    ],
)
def test_what_is_plainly_wrong_is_said_before_any_work(tmp_path, lines, header, keys, message):
    write_rows(tmp_path, *lines, header=header)
    with pytest.raises(UserError, match=message) as caught:
        check_source(source(**({"root": tmp_path} | keys)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.nii,tumor,p1"], r"line 2: category 'tumor' is not among categories \(cyst, metastasis, hemangioma\)"),
        (["a.nii,cyst,p1", "a.nii,metastasis,p2"], "line 3: a.nii is of patient 'p2' here and of 'p1' before"),
        (["x/a.nii,cyst,p1", "y/a.nii,cyst,p2"], "case id 'a' occurs twice; give the lesions a column case_id"),
        (["color.png,cyst,p1"], "color.png: a gray picture is expected"),
        (["broken.png,cyst,p1"], "broken.png: not a readable picture"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, lines, message):
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(tmp_path / "color.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    write_rows(tmp_path, *lines)
    with pytest.raises(UserError, match=message) as caught:
        index(tmp_path)
    assert "\n" not in str(caught.value)
