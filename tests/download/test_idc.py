"""Series of the Imaging Data Commons: the same choice whatever the order of the index, and labels with the right CT."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freetumor.core.errors import UserError
from freetumor.download import idc
from freetumor.download.idc import (
    LabelRule,
    Query,
    choose_images,
    choose_labels,
    find_index,
    pairs_of,
    read_series,
    structures_of,
    with_references,
)

TUMOR = LabelRule(modality="SEG", segments={"tumor": "liver_tumor"})
NUMBERED = LabelRule(modality="SEG", analysis="organs", image_number=r"Series (\d+)$", segments={"liver": "liver"})


def row(patient, uid, modality="CT", study="", number="1", description="", slices=100, **others):
    return {
        "collection_id": others.get("collection", "c"),
        "PatientID": patient,
        "StudyInstanceUID": study or f"study-{patient}",
        "StudyDate": others.get("date", "2001-01-01"),
        "SeriesInstanceUID": uid,
        "SeriesNumber": number,
        "Modality": modality,
        "SeriesDescription": description,
        "analysis_result_id": others.get("analysis"),
        "instanceCount": slices,
        "series_size_MB": float(slices) / 2,
        "license_short_name": "CC BY 4.0",
        "source_DOI": "10.0/x",
        "series_aws_url": f"s3://bucket/{uid}/*",
    }


def index(tmp_path, *rows):
    path = tmp_path / "index.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def chosen(path, query, limit=None):
    series = read_series(path, query)
    labels = choose_labels(series, query, limit)
    return [(pair.image.uid, [label.series.uid for label in pair.labels]) for pair in pairs_of(series, labels, query)]


def test_the_only_ct_of_a_study_belongs_to_its_label(tmp_path):
    rows = [row("p1", "ct1"), row("p1", "seg1", "SEG"), row("p2", "ct2"), row("p3", "ct3", slices=3), row("p3", "seg3", "SEG")]
    rows += [row("p9", "other", collection="d"), row("p1", "pet", "PT")]
    assert chosen(index(tmp_path, *rows), Query(collection="c", labels=(TUMOR,))) == [("ct1", ["seg1"])]


def test_the_number_in_the_description_tells_the_ct(tmp_path):
    rows = [
        row("p", "a", number="2"),
        row("p", "b", number="3"),
        row("p", "s", "SEG", analysis="organs", description="Organs of Series 3"),
    ]
    assert chosen(index(tmp_path, *rows), Query(collection="c", labels=(NUMBERED,))) == [("b", ["s"])]


def test_a_description_of_the_image_decides_where_several_are_possible(tmp_path):
    rows = [row("p", "a", description="late"), row("p", "b", description="ARTERIAL"), row("p", "s", "SEG")]
    path = index(tmp_path, *rows)
    assert chosen(path, Query(collection="c", labels=(TUMOR,))) == []
    assert chosen(path, Query(collection="c", labels=(TUMOR,), image="(?i)arterial")) == [("b", ["s"])]


def test_the_reference_in_the_label_wins_over_what_the_index_suggests(tmp_path):
    rows = [row("p", "a", description="late"), row("p", "b", description="arterial"), row("p", "s", "SEG")]
    query = Query(collection="c", labels=(TUMOR,), image="arterial")
    series = read_series(index(tmp_path, *rows), query)
    labels = choose_labels(series, query)
    assert [label.image for label in labels] == ["b"]
    assert [pair.image.uid for pair in pairs_of(series, with_references(labels, lambda label: "a"), query)] == ["a"]
    assert [pair.image.uid for pair in pairs_of(series, with_references(labels, lambda label: ""), query)] == ["b"]
    assert pairs_of(series, with_references(labels, lambda label: "elsewhere"), query) == []


def test_labels_of_which_nothing_tells_the_ct_are_fetched_of_the_first_study_only(tmp_path):
    rows = [
        row("p", f"{study}{k}", study=study, date=date)
        for study, date in (("x", "2002-01-01"), ("w", "2001-01-01"))
        for k in "ab"
    ]
    rows += [row("p", "late", "SEG", study="x", date="2002-01-01"), row("p", "early", "SEG", study="w", date="2001-01-01")]
    query = Query(collection="c", labels=(TUMOR,))
    labels = choose_labels(read_series(index(tmp_path, *rows), query), query)
    assert [(label.series.uid, label.image) for label in labels] == [("early", "")]


def test_all_required_labels_must_be_there(tmp_path):
    organs = LabelRule(modality="SEG", analysis="organs", segments={"liver": "liver"})
    rows = [
        row("p1", "ct1"),
        row("p1", "t1", "SEG"),
        row("p1", "o1", "SEG", analysis="organs"),
        row("p2", "ct2"),
        row("p2", "t2", "SEG"),
    ]
    rows += [row("p3", "ct3"), row("p3", "o3", "SEG", analysis="organs")]
    path = index(tmp_path, *rows)
    assert chosen(path, Query(collection="c", labels=(TUMOR, organs))) == [("ct1", ["o1", "t1"])]
    relaxed = organs.model_copy(update={"required": False})
    assert chosen(path, Query(collection="c", labels=(TUMOR, relaxed))) == [("ct1", ["o1", "t1"]), ("ct2", ["t2"])]


def test_one_ct_per_patient_is_that_of_the_first_study_with_most_slices(tmp_path):
    rows = [
        row("p", "later", study="x", date="2002-01-01", slices=900),
        row("p", "small", study="w", slices=90),
        row("p", "large", study="w", slices=190),
    ]
    path = index(tmp_path, *rows)

    def uids(**keys):
        query = Query(collection="c", **keys)
        return [pair.image.uid for pair in choose_images(read_series(path, query), query)]

    assert uids() == ["large"]
    assert uids(per_patient=3) == ["large", "small", "later"]
    assert uids(image="^nothing") == []


def test_the_choice_does_not_depend_on_the_order_of_the_index(tmp_path):
    rows = [row(f"p{p}", f"ct{p}-{s}", number=str(s), slices=50 + s % 2) for p in range(6) for s in range(3)]
    rows += [
        row(f"p{p}", f"o{p}-{s}", "SEG", analysis="organs", description=f"Organs of Series {s}")
        for p in range(6)
        for s in range(3)
    ]
    query = Query(collection="c", labels=(NUMBERED,))
    first = chosen(index(tmp_path, *rows), query, 4)
    random.Random(3).shuffle(rows)
    assert chosen(index(tmp_path, *rows), query, 4) == first
    assert [uid for uid, _ in first] == [f"ct{p}-1" for p in range(4)]


def test_the_limit_counts_patients_that_can_be_used_and_smaller_limits_are_parts_of_larger_ones(tmp_path):
    rows = [row(f"p{p}", f"ct{p}") for p in range(9)] + [row(f"p{p}", f"s{p}", "SEG") for p in (1, 4, 5, 8)]
    path, query = index(tmp_path, *rows), Query(collection="c", labels=(TUMOR,))
    everything = chosen(path, query)
    assert len(everything) == 4
    for limit in range(1, 5):
        assert chosen(path, query, limit) == everything[:limit]


def test_names_of_segments_are_matched_by_what_they_contain_and_the_first_pattern_wins():
    segments = {"tumou?r|mass": "kidney_tumor", "kidney": "kidney"}
    names = ["Left Kidney", "Kidney Tumor", "MASS", "aorta"]
    assert structures_of(names, segments) == {"Left Kidney": "kidney", "Kidney Tumor": "kidney_tumor", "MASS": "kidney_tumor"}


def test_a_missing_index_and_a_wrong_file_are_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv(idc.INDEX_VARIABLE, str(tmp_path / "none.parquet"))
    with pytest.raises(UserError, match=r"FREETUMOR_IDC_INDEX: .*none\.parquet not found"):
        find_index()
    monkeypatch.delenv(idc.INDEX_VARIABLE)
    monkeypatch.setattr(idc, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="pip install"):
        find_index()
    path = tmp_path / "text.parquet"
    path.write_text("not a table")
    with pytest.raises(UserError, match="not an index"):
        read_series(path, Query(collection="c"))
    with pytest.raises(UserError, match="no CT of the collection 'd'"):
        read_series(index(tmp_path, row("p", "ct")), Query(collection="d"))
    pq.write_table(pa.table({"collection_id": ["c"]}), path)
    with pytest.raises(UserError, match="not an index"):
        read_series(path, Query(collection="c"))
