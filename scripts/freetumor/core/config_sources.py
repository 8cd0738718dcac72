"""Where images come from: the kinds of sources. See ``config``, which re-exports them."""

import shlex
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_parts import Count, Interval, Name, Positive, Section, Share, Structure


class _Source(Section):
    """What every kind of source has."""

    name: Name = Field(description="Name of the source, also of its folder.")
    split: Literal["development", "external"] = Field(
        "development",
        description="`development` cases are divided into folds; `external` cases are only ever tested on.",
    )
    domain: str = Field("", description="Free text that names the hospital or scanner.")
    shards: int = Field(1, ge=1, description="Jobs that preprocessing divides this source into.")


class PhantomSource(_Source):
    """An analytic abdominal CT cohort, made in code."""

    kind: Literal["phantom"] = Field(description="An analytic cohort.")
    domain: Literal["a", "b"] = Field("a", description="The family of scanners and contrast phases; b is the other hospital.")
    seed: int = Field(0, description="Seed of the cohort.")
    labeled: int = Field(12, ge=0, description="Cases with tumors, annotated.")
    tumor_free: int = Field(4, ge=0, description="Annotated cases without any tumor.")
    unlabeled: int = Field(12, ge=0, description="Cases with organ masks but without tumor annotation.")
    tumor_organs: list[Literal["liver", "pancreas", "kidney"]] = Field(
        ["liver", "pancreas", "kidney"], min_length=1, description="Organs that tumors may grow in."
    )
    hidden_tumor_share: Share = Field(0.25, description="Share of the unlabeled cases that carry a tumor nobody annotated.")


class ExtraLabels(Section):
    """A further set of label files of a folder source."""

    files: str = Field(description="Glob pattern; `*` stands for the same text as in `images`.")
    label_map: dict[int | str, Structure] = Field(description="From the file's integers (or segment names) to structures.")


class OrganLabels(Section):
    """Organ labels that a program makes, such as TotalSegmentator or lungmask, which the user has installed."""

    command: str = Field(
        description="Command line, run once per case and by no shell; `{image}` stands for the image (a file, or a folder with a DICOM series), `{output}` for the `.nii.gz` file of labels that it must write."
    )
    label_map: dict[int | str, Structure] = Field(
        min_length=1,
        description="From the integers that it writes to organs, `background` to ignore one; the key `*` stands for all others.",
    )
    version: str = Field("", description="Command line that prints the version, kept with the labels; none if empty.")
    timeout: Positive = Field(60.0, description="Minutes after which a case is given up.")
    gpu: bool = Field(True, description="Whether a job asks for a GPU, if there is one.")

    @model_validator(mode="after")
    def _command_can_be_run(self) -> "OrganLabels":
        for key, text in (("command", self.command), ("version", self.version or "none")):
            try:
                words = shlex.split(text)
            except ValueError as error:
                raise ValueError(f"{key}: '{text}' is not a command line ({error})") from error
            if not words:
                raise ValueError(f"{key}: expected a command line")
        missing = [name for name in ("{image}", "{output}") if name not in self.command]
        if missing:
            raise ValueError(f"command: '{self.command}' does not contain {' and '.join(missing)}")
        tumors = [name for name in self.label_map.values() if name.endswith("_tumor")]
        if tumors:
            raise ValueError(f"label_map: '{tumors[0]}' is a tumor; a program's tumors are no annotation, expected organs")
        return self


class FolderSource(_Source):
    """A user's own CT: NIfTI, NRRD or MetaImage files, or folders with a DICOM series each."""

    kind: Literal["folder"] = Field(description="Files on disk.")
    root: str = Field(
        ".", description="Folder that the patterns are relative to; `$NAME`, `${NAME:-default}` and `~` are expanded."
    )
    images: str = Field(
        description="Glob pattern of the images (a pattern that matches folders means DICOM series), or a CSV with the columns `image`, `label`, and optionally `case_id`, `patient_id`."
    )
    labels: str | None = Field(
        None,
        description="Glob pattern of the label files; `*` stands for the same text as in `images`. NIfTI, NRRD, DICOM SEG or RTSTRUCT.",
    )
    label_map: dict[int | str, Structure] = Field(
        default_factory=dict,
        description="From the file's integers (or segment names) to structures such as `liver` and `liver_tumor`, or `background` to ignore one; the key `*` stands for all others.",
    )
    extra_labels: list[ExtraLabels] = Field(
        default_factory=list,
        description="Further label files of the same cases; where they overlap, tumors win over organs and later files over earlier ones.",
    )
    tumors_annotated: bool = Field(
        True,
        description="Whether a case with a label file has its tumors annotated. If false, labels are taken as organ masks only.",
    )
    host_rule: dict[Structure, Literal["muscle", "lung"]] = Field(
        default_factory=dict,
        description="Organs to derive from the CT by a documented threshold rule, where no mask exists.",
    )
    organ_labels: OrganLabels | None = Field(
        None, description="A program that makes masks of the organs that a case's own files do not name; none if empty."
    )
    patient: str | None = Field(
        None,
        description="Regular expression whose first group, found in the file name, is the patient. Default: the case id.",
    )
    identity: Literal["as_is", "keyed"] = Field(
        "as_is",
        description="`keyed`: ids of cases and patients become keyed hashes, and files are reached by links of such names; the key and the links lie in the folder `$FREETUMOR_IDENTITY` (`~/.freetumor/identity`), outside the results.",
    )


class PublicSource(_Source):
    """A public collection of the catalog (docs/data.md): fetched where anyone may, checked where you put it yourself."""

    kind: Literal["public"] = Field(description="A source of the catalog.")
    entry: Name | None = Field(None, description="Its name in the catalog; empty: the name of the source.")
    root: str = Field(
        "${FREETUMOR_DATA:-results/downloads}/{entry}",
        description="Folder of its files; `{entry}` stands for the name in the catalog, `$NAME`, `${NAME:-default}` and `~` are expanded.",
    )
    limit: Count | None = Field(
        None,
        description="Take only the first patients, by name; all if empty. Files of others are not fetched where they can be told apart.",
    )
    tumors_annotated: bool | None = Field(
        None,
        description="Whether the tumors that its labels outline count as annotated; empty: as in the paper, which takes some outlined collections as canvases only.",
    )
    host_rule: dict[Structure, Literal["muscle", "lung"]] = Field(
        default_factory=dict,
        description="Organs to derive from the CT by a documented threshold rule, where no mask exists.",
    )
    extra_labels: list[ExtraLabels] = Field(
        default_factory=list,
        description="Label files of your own beside the public ones, for example predicted organs; paths are relative to the folder.",
    )
    organ_labels: OrganLabels | None = Field(
        None, description="A program that makes masks of the organs that a case's own files do not name; none if empty."
    )


class RoiPhantomSource(_Source):
    """Liver lesions of three classes, made in code: slices with one lesion each, for regions of interest."""

    kind: Literal["roi_phantom"] = Field(description="Slices with one analytic lesion each.")
    seed: int = Field(0, description="Seed of the cohort.")
    lesions: dict[Literal["cyst", "metastasis", "hemangioma"], Count] = Field(
        {"cyst": 53, "metastasis": 64, "hemangioma": 65},
        min_length=1,
        description="Lesions per category; the numbers of Frid-Adar et al. 2018 by default.",
    )
    diameter: Interval = Field((10.0, 102.0), description="Least and greatest diameter of a lesion in mm.")
    ambiguity: Share = Field(
        0.5, description="How much the appearances of the categories overlap: 0 typical lesions only, 1 hardly separable."
    )


class RoiFolderSource(_Source):
    """A user's own lesions for classification: slices, crops, or CT volumes with lesion masks, listed in a CSV."""

    kind: Literal["roi_folder"] = Field(description="Images of lesions on disk.")
    root: str = Field(
        ".", description="Folder that the paths are relative to; `$NAME`, `${NAME:-default}` and `~` are expanded."
    )
    table: str = Field(
        description="CSV with the columns `image`, `category`, `patient_id`, and optionally `case_id`, `mask` (a file on the image's grid, non-zero inside the lesion) or `x0 x1 y0 y1` with `slice` (a box in voxels, ends excluded). Without mask and box the lesion fills the middle of the image."
    )
    structure: Structure = Field("liver_tumor", description="What the masks and boxes outline, such as `liver_tumor`.")
    intensity: Interval = Field(
        (-100.0, 200.0), description="HU that black and white of a picture file (PNG) stand for; CT files hold HU themselves."
    )
    pixel_mm: float = Field(1.0, gt=0, description="Pixel size of picture files in mm; CT files hold it themselves.")


Source = Annotated[
    PhantomSource | FolderSource | PublicSource | RoiPhantomSource | RoiFolderSource, Field(discriminator="kind")
]
