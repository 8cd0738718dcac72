"""The table of public sources: complete, consistent, the page written from it, and mistakes in it named."""

import re

import pytest
import yaml

from freetumor.core.config import PublicSource
from freetumor.core.errors import UserError
from freetumor.core.labels import STRUCTURE_NAME, organ_of
from freetumor.download import catalog as module
from freetumor.download.catalog import catalog, declared_overlaps, entry_of
from freetumor.download.catalog_page import PAGE, data_page
from freetumor.download.folder import Pattern
from freetumor.download.public import check_source, repeated
from tests.conftest import REPOSITORY

NAMES = list(catalog())
PAPER = [entry for entry in catalog().values() if entry.paper is not None and not entry.paper.edition]
# Rows of the table of PreCT-160K that name a source (Wu et al., Large-Scale-Medical), in its order.
PRECT = "24 722 843 4000 1071 2000 1018 1203 120 300 1618 2238 5195 606 504 892 1274 1730 770 2316 47149 84830"


def read_from(folder, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", folder)
    catalog.cache_clear()
    try:
        return catalog()
    finally:
        catalog.cache_clear()


def test_the_paper_has_33_sources_with_the_published_numbers():
    assert len(PAPER) == 33
    assert sorted(entry.paper.volumes for entry in PAPER if entry.paper.row.startswith("PreCT-160K")) == sorted(
        map(int, PRECT.split())
    )
    assert sum(entry.paper.volumes for entry in PAPER if "difference" in entry.paper.row) == 161310 - 160167


def test_no_source_is_listed_in_two_files(tmp_path, monkeypatch):
    text = "a: {title: A, region: chest, access: open, roles: [pool], page: 'https://a.org', evidence: [e]}"
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text)
    with pytest.raises(UserError, match=r"two\.yaml: 'a' is listed twice"):
        read_from(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_can_be_a_source_and_its_labels_name_what_it_states(name):
    entry = catalog()[name]
    check_source(PublicSource(name=name, kind="public"))
    assert entry.evidence
    assert entry.page or entry.how
    structures = set(structures_of(entry))
    assert all(STRUCTURE_NAME.fullmatch(structure) for structure in structures)
    assert {organ_of(structure) for structure in structures} <= {*entry.organs, *entry.tumors, "background"}
    if "labeled" in entry.roles:
        assert entry.tumors
        assert {f"{organ}_tumor" for organ in entry.tumors} <= structures


def test_what_the_paper_took_as_canvases_counts_as_annotated_on_request_only():
    outlined = [
        entry
        for entry in catalog().values()
        if entry.roles == ("pool",) and entry.layout and any(structure.endswith("_tumor") for structure in structures_of(entry))
    ]
    assert {entry.name for entry in outlined} == {"panorama", "msd_colon"}
    assert not any(entry.layout.tumors_annotated for entry in outlined)


def structures_of(entry):
    if entry.commons is not None:
        return [structure for rule in entry.commons.labels for structure in rule.segments.values()]
    maps = [entry.layout.label_map, *(extra["label_map"] for extra in entry.layout.extra_labels)]
    return [structure for mapping in maps for structure in mapping.values()]


@pytest.mark.parametrize("name", [entry.name for entry in catalog().values() if entry.layout is not None])
def test_patterns_of_labels_fit_those_of_images(name, tmp_path):
    source = catalog()[name].folder_source("x", tmp_path)
    stars = Pattern("images", tmp_path, source.images).stars
    for text in [source.labels, *(extra.files for extra in source.extra_labels)]:
        assert text is None or stars in (1, Pattern("labels", tmp_path, text).stars)


def test_fetched_sources_are_open_and_gated_ones_say_how():
    for entry in catalog().values():
        assert entry.access == "open" or not entry.fetched
        assert entry.fetched or entry.how


def test_ranges_of_numbers_become_an_explicit_list():
    files = repeated(entry_of("kits23", "x"))
    assert len(files) == 2 * 489
    assert files[0]["path"] == "dataset/case_00000/imaging.nii.gz"
    assert files[-1]["url"].endswith("/dataset/case_00588/segmentation.nii.gz")
    assert len({file["path"] for file in files}) == len(files)


def test_overlaps_are_pairs_of_known_sources():
    pairs = declared_overlaps()
    assert frozenset(("panorama", "msd_pancreas")) in pairs
    assert all(len(pair) == 2 and pair <= set(NAMES) for pair in pairs)


def test_an_unknown_source_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"sources\.kits\.name: 'kits32' .* did you mean 'kits23'"):
        entry_of("kits32", "sources.kits.name")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"access": "opn"}, r"mine\.yaml: a\.access"),
        ({"evidence": []}, r"mine\.yaml: a\.evidence"),
        ({"page": ""}, "say how to get it"),
        ({"access": "request", "listing": {"kind": "https"}}, "only sources with open access are fetched"),
        ({"listing": {"kind": "https"}, "commons": {"collection": "c"}}, "listing and commons exclude each other"),
        ({"confidence": {"sise": "inferred"}}, "'sise' is not a field"),
        ({"sise": 3}, r"mine\.yaml: a\.sise"),
        ({"overlaps": [{"source": "b", "what": "all"}]}, r"a\.overlaps: 'b' is not in the table"),
    ],
)
def test_a_mistake_in_the_table_names_file_and_field(fields, message, tmp_path, monkeypatch):
    right = {"title": "A", "region": "chest", "access": "open", "roles": ["pool"], "page": "https://a.org", "evidence": ["e"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"a": right}))
    assert list(read_from(tmp_path, monkeypatch)) == ["a"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"a": right | fields}))
    with pytest.raises(UserError, match=message):
        read_from(tmp_path, monkeypatch)


def test_the_page_has_not_drifted():
    assert (REPOSITORY / PAGE).read_text(encoding="utf-8") == data_page(), "run `make reference`"


def test_the_page_tells_for_each_source_license_access_and_what_to_do():
    page = data_page()
    for entry in catalog().values():
        section = page.partition(f"### {entry.name}\n")[2].partition("\n### ")[0]
        assert entry.title in section
        assert entry.license in section or "license: not known" in section
        row = next(line for line in page.splitlines() if line.startswith(f"| [{entry.name}](#{entry.name}) |"))
        assert f"| {entry.access}" in row
        assert entry.fetched == ("· fetched" in row)
        assert entry.fetched or f"    {entry.name} has to be fetched by hand:" in page


def test_every_table_of_the_page_is_rectangular():
    cells = 0
    for line in data_page().splitlines():
        count = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not cells or count in (0, cells), line
        cells = count
