"""Parts of the configuration that every stage shares: how work runs, where images come from, networks and trainings.

See ``config``, which re-exports them.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"expected a lower and an upper bound, got {list(interval)}")
    return interval


def _wide(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] >= interval[1]:
        raise ValueError(f"expected a lower and a greater upper bound, got {list(interval)}")
    return interval


def _distinct(items: list[Any] | None) -> list[Any] | None:
    if items and len(set(items)) < len(items):
        raise ValueError("an entry is listed twice")
    return items


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]

Triple = tuple[Positive, Positive, Positive]
Size = tuple[Count, Count, Count]
Interval = Annotated[tuple[float, float], AfterValidator(_ordered)]
Distinct = AfterValidator(_distinct)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Structure = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Compute(Section):
    """How the work is run. Only `torch_threads` and `device` can change a result."""

    torch_threads: int = Field(
        1,
        ge=1,
        description="Threads of torch inside a job. Sums differ between thread counts, so this is part of the study, not of the machine.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` takes a GPU if there is one.")
    mixed_precision: bool = Field(True, description="Automatic mixed precision on a GPU; never used on a CPU.")
    gpus_per_job: int = Field(1, ge=1, description="GPUs of one training job; more than one starts it under `torchrun`.")


class PhantomSource(Section):
    """An analytic abdominal CT cohort, made in code."""

    name: Name = Field(description="Name of the source, also of its folder.")
    kind: Literal["phantom"] = Field(description="An analytic cohort.")
    split: Literal["development", "external"] = Field(
        "development",
        description="`development` cases are divided into folds; `external` cases are only ever tested on.",
    )
    domain: Literal["a", "b"] = Field("a", description="The family of scanners and contrast phases; b is the other hospital.")
    seed: int = Field(0, description="Seed of the cohort.")
    labeled: int = Field(12, ge=0, description="Cases with tumors, annotated.")
    tumor_free: int = Field(4, ge=0, description="Annotated cases without any tumor.")
    unlabeled: int = Field(12, ge=0, description="Cases with organ masks but without tumor annotation.")
    tumor_organs: list[Literal["liver", "pancreas", "kidney"]] = Field(
        ["liver", "pancreas", "kidney"], min_length=1, description="Organs that tumors may grow in."
    )
    hidden_tumor_share: Share = Field(0.25, description="Share of the unlabeled cases that carry a tumor nobody annotated.")
    shards: int = Field(1, ge=1, description="Jobs that preprocessing divides this source into.")


class ExtraLabels(Section):
    """A further set of label files of a folder source."""

    files: str = Field(description="Glob pattern; `*` stands for the same text as in `images`.")
    label_map: dict[int | str, Structure] = Field(description="From the file's integers (or segment names) to structures.")


class FolderSource(Section):
    """A user's own CT: NIfTI, NRRD or MetaImage files, or folders with a DICOM series each."""

    name: Name = Field(description="Name of the source, also of its folder.")
    kind: Literal["folder"] = Field(description="Files on disk.")
    split: Literal["development", "external"] = Field(
        "development",
        description="`development` cases are divided into folds; `external` cases are only ever tested on.",
    )
    domain: str = Field("", description="Free text that names the hospital or scanner.")
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
    patient: str | None = Field(
        None,
        description="Regular expression whose first group, found in the file name, is the patient. Default: the case id.",
    )
    shards: int = Field(1, ge=1, description="Jobs that preprocessing divides this source into.")


Source = Annotated[PhantomSource | FolderSource, Field(discriminator="kind")]


class Preset(Section):
    """How volumes are brought to a common form. Shared by all studies that name the same preset."""

    spacing: Triple = Field(description="Working spacing in mm (z, y, x).")
    window: Annotated[tuple[float, float], AfterValidator(_wide)] = Field(
        description="HU interval that networks see as 0 to 1. Volumes keep their HU."
    )
    margin: float = Field(10.0, ge=0, description="Margin in mm around what is kept.")
    crop: Literal["body", "organs"] = Field("body", description="Keep the body, or the bounding box of the labeled structures.")
    patch: Size = Field(description="Patch of all networks, in voxels (z, y, x).")


class Checks(Section):
    """What the reader refuses. Refused cases become rows of the quarantine table."""

    spacing: Interval = Field((0.2, 10.0), description="Least and greatest voxel spacing in mm.")
    extent: Interval = Field((50.0, 2500.0), description="Least and greatest extent of a volume in mm.")
    max_voxels: int = Field(1_500_000_000, ge=1, description="Volumes with more voxels are refused before they are read.")
    hu: bool = Field(True, description="Refuse images that are not CT in HU.")
    max_quarantined: Share = Field(0.5, description="Preprocessing of a source fails above this share of refused cases.")


class Network(Section):
    """A network by name and size."""

    name: Literal["unet", "unet3d", "swin_unetr"] = Field(
        "unet",
        description="`unet`: MONAI's UNet; `unet3d`: the paper's max-pooling U-Net; `swin_unetr`: MONAI's SwinUNETR.",
    )
    channels: list[int] = Field(
        [16, 32, 64],
        min_length=1,
        description="Channels per level; for `unet3d` and `swin_unetr` only the first counts (32 and 48 in the paper).",
    )
    residual_units: int = Field(2, ge=0, description="Residual units per level of `unet`.")
    norm: Literal["batch", "instance"] = Field(
        "batch",
        description="Normalization of `unet`. Instance normalization removes the HU level of a patch, which small networks need.",
    )

    @model_validator(mode="after")
    def _can_be_built(self) -> "Network":
        if self.name == "unet" and len(self.channels) < 2:
            raise ValueError("'unet' needs the channels of at least two levels")
        if self.name == "swin_unetr" and self.channels[0] % 12:
            raise ValueError("'swin_unetr' needs a multiple of 12 channels")
        return self

    @property
    def stride(self) -> int:
        """Voxels per axis that the deepest level sees as one; a patch holds a multiple of it, and more than one."""
        return {"unet": 2 ** (len(self.channels) - 1), "unet3d": 8, "swin_unetr": 32}[self.name]


class Training(Section):
    """An optimization run."""

    steps: int = Field(400, ge=1, description="Optimizer steps.")
    batch: int = Field(4, ge=1, description="Patches per step, over all GPUs.")
    learning_rate: Positive = Field(3e-3, description="Peak learning rate.")
    warmup: int = Field(20, ge=0, description="Steps of linear warm-up.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Learning rate after the warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    validate_every: int = Field(100, ge=1, description="Steps between two validations.")
    keep: Literal["last", "best"] = Field(
        "last",
        description="Weights that are kept: the last, or those that validated best. With few validation cases the best ones are best by chance.",
    )
    checkpoint_every: int = Field(100, ge=1, description="Steps between two resumable checkpoints.")
