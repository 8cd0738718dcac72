"""The table of public sources: what each one is, who may have it, where it comes from and how its files are read.

The table is the YAML files in ``catalog/``, one per region of the body; this module is their schema. A field that is not
known is left out, never guessed; ``confidence`` says which fields are inferred, and ``evidence`` where the facts come from.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from freetumor.core.config import FolderSource
from freetumor.core.config_parts import Name, Section, Structure
from freetumor.core.errors import UserError
from freetumor.core.settings import read_yaml
from freetumor.download.idc import Query

FOLDER = Path(__file__).parent / "catalog"
ROLES = {
    "labeled": "tumors annotated, used to train and test",
    "external": "tumors annotated, used to test only",
    "pool": "canvases: scans whose tumors nobody outlined",
    "listed": "named in the authors' lists or captions; what for is not stated",
}
LIMITS = {
    "attribution": "name the source",
    "non-commercial": "no commercial use",
    "share-alike": "derived data under the same license",
    "no redistribution": "do not pass copies on",
}
ACCESS = {
    "open": "anyone, at once",
    "registration": "an account or an accepted agreement",
    "request": "an application that somebody approves",
}


class Paper(Section):
    """A source's part in Wu et al. 2025.

    Attributes:
        volumes: in the list of the authors' larger pre-training set, or in what it lacks (``row``).
        row: where the number is from.
        confidence: ``stated`` if the authors' own lists load the source, ``inferred`` otherwise.
        edition: whether this is another edition of a source that is counted already.
    """

    volumes: int | None = None
    row: str
    confidence: Literal["stated", "inferred"] = "inferred"
    edition: bool = False


class Overlap(Section):
    """Scans that two sources share."""

    source: Name
    what: str
    confidence: Literal["stated", "inferred"] = "stated"


class Repeat(Section):
    """Files of an explicit list whose names differ in a number.

    Attributes:
        ranges: first and last number of each range.
        files: path and address of each file, with the number as ``{number:05d}`` or the like.
    """

    ranges: tuple[tuple[int, int], ...]
    files: tuple[dict[str, str], ...]


class Layout(Section):
    """How the files are read, once they lie in the folder: the keys of a source of kind ``folder``."""

    images: str
    labels: str | None = None
    label_map: dict[int | str, Structure] = Field(default_factory=dict)
    extra_labels: tuple[dict[str, Any], ...] = ()
    tumors_annotated: bool = True
    patient: str | None = None


class Entry(Section):
    """A version of a source.

    Attributes:
        name: key of the table.
        title: its own name.
        version: version, edition or part.
        region: part of the body.
        organs, tumors: structures with masks, and those of them with tumors.
        volumes, patients: what can be had.
        gigabytes: size to fetch (10^9 bytes).
        unpacked: size of the unpacked files where archives are fetched (10^9 bytes).
        license, limits: as the source states it, and what it forbids or asks.
        access: see ``ACCESS``.
        page: where to read the terms and get the files.
        how: what to do there, for sources that the workflow cannot fetch itself.
        format: of the files.
        listing: how the files are listed: a kind of listing and its parameters.
        repeat: files of an explicit list that differ in a number.
        commons: what is taken of the Imaging Data Commons.
        archives: patterns of archives to unpack, each into the folder of its source.
        checksum: kind of checksum that is published.
        layout: how the files are read; missing if nobody has described them yet.
        patient: regular expression in the path of a listed file, whose group is the patient; for ``limit``.
        citation: how to cite.
        overlaps: scans shared with other sources.
        roles: see ``ROLES``.
        paper: the part in Wu et al. 2025; missing for sources that the paper does not use.
        confidence: fields that are inferred.
        evidence: where the facts come from.
    """

    name: Name
    title: str
    version: str = ""
    region: Literal["abdomen", "chest", "head and neck", "whole body"]
    organs: tuple[Structure, ...] = ()
    tumors: tuple[Structure, ...] = ()
    volumes: int | None = None
    patients: int | None = None
    gigabytes: float | None = None
    unpacked: float | None = None
    modality: Literal["CT"] = "CT"
    license: str = ""
    limits: tuple[Literal["attribution", "non-commercial", "share-alike", "no redistribution"], ...] = ()
    access: Literal["open", "registration", "request"]
    page: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    how: str = ""
    format: str = ""
    listing: dict[str, Any] | None = None
    repeat: Repeat | None = None
    commons: Query | None = None
    archives: tuple[str, ...] = ()
    checksum: Literal["", "md5", "sha256"] = ""
    layout: Layout | None = None
    patient: str = ""
    citation: str = ""
    overlaps: tuple[Overlap, ...] = ()
    roles: tuple[Literal["labeled", "external", "pool", "listed"], ...]
    paper: Paper | None = None
    confidence: dict[str, Literal["inferred"]] = Field(default_factory=dict)
    evidence: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> "Entry":
        routes = [route for route in ("listing", "repeat", "commons") if getattr(self, route) is not None]
        if len(routes) > 1:
            raise ValueError(f"{self.name}: {' and '.join(routes)} exclude each other")
        if routes and self.access != "open":
            raise ValueError(f"{self.name}: {routes[0]}: only sources with open access are fetched")
        if not routes and not (self.page or self.how):
            raise ValueError(f"{self.name}: say how to get it: page or how")
        unknown = set(self.confidence) - set(Entry.model_fields)
        if unknown:
            raise ValueError(f"{self.name}: confidence: '{min(unknown)}' is not a field")
        return self

    @property
    def fetched(self) -> bool:
        """Whether the workflow fetches the files itself."""
        return any(route is not None for route in (self.listing, self.repeat, self.commons))

    @property
    def described(self) -> bool:
        """Whether the workflow can read the files: they come with a description of their layout, or from the commons."""
        return self.layout is not None or self.commons is not None

    def folder_source(self, name: str, root: Path, **keys: Any) -> FolderSource:
        """The source of kind ``folder`` that reads the files below ``root``.

        Raises:
            UserError: if their layout is not described.
        """
        if self.layout is None:
            raise UserError(
                f"sources.{name}: the files of {self.name} are not described in the catalog; "
                "index them with a source of kind folder"
            )
        stated = self.layout.model_dump(exclude_none=True)
        return FolderSource.model_validate({"name": name, "kind": "folder", "root": str(root), **stated, **keys})


@cache
def catalog() -> dict[str, Entry]:
    """All entries by name, in the order of the table.

    Raises:
        UserError: naming the file and the field that is wrong.
    """
    entries: dict[str, Entry] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for name, fields in read_yaml(path).items():
            if name in entries:
                raise UserError(f"{path.name}: '{name}' is listed twice")
            try:
                entries[name] = Entry.model_validate({"name": name, **fields})
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise UserError(f"{path.name}: {name}.{where}: {first['msg'].removeprefix('Value error, ')}") from None
    for entry in entries.values():
        for overlap in entry.overlaps:
            if overlap.source not in entries:
                raise UserError(f"catalog: {entry.name}.overlaps: '{overlap.source}' is not in the table")
    return entries


def entry_of(name: str, where: str) -> Entry:
    """An entry by name.

    Raises:
        UserError: if there is none; ``where`` is the configuration key to name.
    """
    known = catalog()
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else "docs/data.md lists them"
        raise UserError(f"{where}: '{name}' is not in the catalog of public sources; {hint}")
    return known[name]


def declared_overlaps() -> set[frozenset[str]]:
    """Pairs of sources that are known to share scans."""
    return {frozenset((entry.name, overlap.source)) for entry in catalog().values() for overlap in entry.overlaps}
