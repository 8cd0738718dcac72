"""Parts of the configuration that every stage shares: how work runs, forms of preprocessing, networks and trainings.

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
    """How the work is run. Only `torch_threads` and `device` can change a result, and on a GPU its precision and kernels."""

    torch_threads: int = Field(
        1,
        ge=1,
        description="Threads of torch inside a job. Sums differ between thread counts, so this is part of the study, not of the machine.",
    )
    loader_workers: int = Field(
        0,
        ge=0,
        description="Processes beside each process of a training that cut and paint the patches of coming steps; none: the training does it itself. No result depends on it.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` takes a GPU if there is one.")
    mixed_precision: bool = Field(True, description="Automatic mixed precision on a GPU; never used on a CPU.")
    deterministic: bool = Field(
        True, description="Deterministic kernels on a GPU, and an error where torch has none; see docs/how-to/run-on-a-gpu.md."
    )
    gpus_per_job: int = Field(
        1, ge=1, description="GPUs of one training job on one machine; more than one starts it under `torchrun`."
    )
    nodes_per_job: int = Field(
        1, ge=1, description="Machines of one training job; more than one needs Slurm, see docs/how-to/run-on-a-cluster.md."
    )

    @property
    def processes_per_job(self) -> int:
        """Processes of one training."""
        return self.gpus_per_job * self.nodes_per_job


class Preset(Section):
    """How volumes are brought to a common form. Shared by all studies that name the same preset."""

    form: Literal["volume", "region"] = Field(
        "volume",
        description="`volume`: the body at a common spacing; `region`: a square of one slice around each lesion, at a common size.",
    )
    spacing: Triple | None = Field(None, description="`volume`: working spacing in mm (z, y, x).")
    window: Annotated[tuple[float, float], AfterValidator(_wide)] = Field(
        description="HU interval that networks see as 0 to 1. Volumes keep their HU."
    )
    margin: float = Field(10.0, ge=0, description="Margin in mm around what is kept.")
    crop: Literal["body", "organs"] = Field("body", description="Keep the body, or the bounding box of the labeled structures.")
    patch: Size = Field(description="Patch of all networks, in voxels (z, y, x).")
    fit: float = Field(
        1.5,
        ge=1,
        description="`region`: side of the square that fills the patch, in lesion diameters (1.5 leaves a quarter around).",
    )
    context: float = Field(
        2.4,
        ge=1,
        description="`region`: side of the square that is stored, in lesion diameters: room for rotation, shift and scale.",
    )

    @model_validator(mode="after")
    def _form_is_complete(self) -> "Preset":
        if self.form == "volume" and self.spacing is None:
            raise ValueError("a preset of the form 'volume' needs a spacing")
        if self.form == "region" and (self.patch[0] != 1 or self.patch[1] != self.patch[2]):
            raise ValueError(f"patch: a preset of the form 'region' needs a square [1, n, n], got {list(self.patch)}")
        if self.context < self.fit:
            raise ValueError("context: must be at least as large as fit")
        return self


class Checks(Section):
    """What the reader refuses. Refused cases become rows of the quarantine table."""

    spacing: Interval = Field((0.2, 10.0), description="Least and greatest voxel spacing in mm.")
    extent: Interval = Field((50.0, 2500.0), description="Least and greatest extent of a volume in mm.")
    max_voxels: int = Field(1_500_000_000, ge=1, description="Volumes with more voxels are refused before they are read.")
    hu: bool = Field(True, description="Refuse images that are not CT in HU.")
    max_quarantined: Share = Field(0.1, description="Preprocessing of a source fails above this share of refused cases.")
    tolerated_refusals: int = Field(
        4, ge=0, description="So many refused cases never fail a source that has others, whatever their share."
    )


class Network(Section):
    """A network by name and size."""

    name: Literal["unet", "unet3d", "swin_unetr", "roi_cnn"] = Field(
        "unet",
        description="`unet`: MONAI's UNet; `unet3d`: FreeTumor's max-pooling U-Net; `swin_unetr`: MONAI's SwinUNETR; `roi_cnn`: the classifier of Frid-Adar et al. 2018.",
    )
    channels: list[int] = Field(
        [16, 32, 64],
        min_length=1,
        description="Channels per level; for `unet3d` and `swin_unetr` only the first counts (32 and 48 in the paper); for `roi_cnn` three convolutions (32, 64, 128 in the paper).",
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
        if self.name == "roi_cnn" and len(self.channels) != 3:
            raise ValueError("'roi_cnn' has three convolutions and needs as many channels")
        return self

    @property
    def stride(self) -> int:
        """Voxels per axis that the deepest level sees as one; a patch holds a multiple of it, and more than one."""
        return {"unet": 2 ** (len(self.channels) - 1), "unet3d": 8, "swin_unetr": 32, "roi_cnn": 1}[self.name]

    @property
    def task(self) -> str:
        """The task that the network can serve."""
        return "classification" if self.name == "roi_cnn" else "segmentation"


class FeatureNetwork(Section):
    """A trained segmentation network whose deepest layer describes lesions, beside features made by hand."""

    weights: str = Field(
        "segmenter",
        description="`segmenter`: that of the first fold of the study; else a safetensors file, which sees the window of the preset as 0 to 1.",
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of the file; a file needs one."
    )
    network: Network | None = Field(None, description="Network of the file; a file needs one.")
    outputs: Count = Field(2, description="Channels of the output of the file's network.")

    @model_validator(mode="after")
    def _file_is_stated(self) -> "FeatureNetwork":
        stated = [name for name in ("sha256", "network") if getattr(self, name) is not None]
        if self.weights == "segmenter" and stated:
            raise ValueError(f"{stated[0]}: belongs to a file, but weights is 'segmenter'")
        if self.weights != "segmenter" and len(stated) < 2:
            raise ValueError(f"weights: '{self.weights}' is a file, which needs sha256 and network")
        if self.network is not None and self.network.task != "segmentation":
            raise ValueError(f"network: '{self.network.name}' does not see volumes")
        return self


class Training(Section):
    """An optimization run."""

    steps: int = Field(400, ge=1, description="Optimizer steps.")
    epochs: int | None = Field(
        None,
        ge=1,
        description="Instead of `steps`: passes over the training set of the arm, as in papers that compare at equal epochs. Arms with more samples then train for more steps. For classifications, `dcgan` and `acgan`.",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="`sgd`: with Nesterov momentum 0.9.")
    batch: int = Field(4, ge=1, description="Patches per step, over all GPUs.")
    accumulate: int = Field(
        1,
        ge=1,
        description="Parts that a batch is computed in, one after another, to save memory; each takes its loss and batch statistics over itself. For segmentations and the painter `difference`.",
    )
    learning_rate: Positive = Field(3e-3, description="Peak learning rate.")
    warmup: int = Field(20, ge=0, description="Steps of linear warm-up.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Learning rate after the warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW (not of `sgd`).")
    validate_every: int = Field(100, ge=1, description="Steps between two validations.")
    keep: Literal["last", "best"] = Field(
        "last",
        description="Weights that are kept: the last, or those that validated best. With few validation cases the best ones are best by chance.",
    )
    checkpoint_every: int = Field(100, ge=1, description="Steps between two resumable checkpoints.")
