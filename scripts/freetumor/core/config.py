"""The configuration of a study: one strict model from which the schema and the reference page are generated.

Every length is in millimeters, every intensity in HU, every triple in the order z, y, x, unless a description says otherwise.
This module is read by the Snakefile and imports nothing heavy.
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
    workers: int = Field(0, ge=0, description="Loader processes of a training job. The result does not depend on it.")


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
    root: str = Field(".", description="Folder that the patterns are relative to; `$VARIABLES` and `~` are expanded.")
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


class Cohort(Section):
    """Folds and roles. Folds are by patient; duplicates count as one patient."""

    folds: int = Field(3, ge=2, description="Number of folds.")
    run_folds: Annotated[list[int] | None, Distinct] = Field(None, description="Folds that are run; all if empty.")
    validation: Share = Field(0.25, description="Share of the training patients on which checkpoints are chosen.")
    labeled_limit: int | None = Field(
        None,
        ge=1,
        description="Use at most this many labeled training patients with tumors per fold; the others join the pool with their tumor labels hidden.",
    )


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


class Segmenter(Section):
    """The baseline segmenter S: judge of the generator, and of the gate."""

    network: Network = Network()
    training: Training = Training()


class Shape(Section):
    """Lesion masks."""

    kind: Literal["ellipsoid", "real"] = Field(
        "ellipsoid",
        description="`ellipsoid`: randomly deformed, in size classes; `real`: the mask of a real training lesion.",
    )
    radius: dict[str, Positive] = Field(
        {"tiny": 5.0, "small": 8.0, "medium": 12.0, "large": 18.0},
        description="Nominal semi-axis of each size class in mm.",
    )
    probability: dict[str, NotNegative] = Field(
        {"tiny": 0.25, "small": 0.3, "medium": 0.25, "large": 0.2},
        description="Probability of each size class; they sum to one.",
    )
    jitter: Share = Field(0.25, description="Each semi-axis is uniform within this share around the nominal one.")
    deformation: float = Field(
        0.25, ge=0, le=1, description="Standard deviation of the displacement, as a share of the radius."
    )
    max_depth_ratio: Positive = Field(
        2.0, description="A semi-axis is at most this multiple of the organ's greatest depth in the patch."
    )

    @model_validator(mode="after")
    def _classes_agree(self) -> "Shape":
        if set(self.radius) != set(self.probability):
            raise ValueError("radius and probability must name the same size classes")
        if abs(sum(self.probability.values()) - 1) > 1e-6:
            raise ValueError("the probabilities must sum to one")
        return self


class Texture(Section):
    """The texture T: smoothed Bernoulli noise with the published statistics, made at patch size."""

    sigma_a: list[Positive] = Field(
        [3, 6, 9, 12, 15], description="Smoothing of the probability field in mm; one is drawn per lesion."
    )
    sigma_b: list[Positive] = Field([4, 7], description="Smoothing of the texture in mm; one is drawn per lesion.")
    level: Interval = Field((0.5, 0.55), description="The mean over values above 0.12 is uniform in this interval.")


class Painter(Section):
    """What fills the mask."""

    kind: Literal["constant", "difference", "transplant"] = Field(
        description="`constant`: a texture of constant contrast (SynTumor family); `difference`: a learned difference (FreeTumor); `transplant`: the pixels of a real lesion (copy-paste)."
    )
    contrast: Interval = Field((65.0, 145.0), description="`constant`: contrast in HU, subtracted; uniform.")
    network: Network = Field(Network(name="unet3d", channels=[8]), description="`difference`: generator and discriminator.")
    training: Training = Field(
        Training(steps=300, learning_rate=1e-3, schedule="constant", batch=4),
        description="`difference`: adversarial training.",
    )
    adversarial_weight: float = Field(0.1, ge=0, description="`difference`: weight of the discriminator against the segmenter.")
    polarity: Literal["subtract", "add"] = Field(
        "subtract", description="`difference`: abdomen subtracts tanh(G), chest adds sigmoid(G)."
    )
    smoothing: float = Field(
        1.0,
        ge=0,
        description="`difference`: Gaussian smoothing of the learned difference in voxels, seven taps per axis as published.",
    )
    labeled_share: Share = Field(
        0.6, description="`difference`: share of training patches from labeled cases (0.86 in the released lists)."
    )


class Compositor(Section):
    """How the lesion is blended into the organ."""

    blur: Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)] = Field(
        (1.0, 2.0), description="Gaussian blur of the mask in mm; uniform."
    )
    tolerance: float = Field(
        1.0, gt=0, description="Declared tolerance in HU: the label covers exactly the voxels that changed by more."
    )


class Gate(Section):
    """What is kept of what was painted."""

    kind: Literal["none", "segmenter"] = Field("none", description="`segmenter`: the frozen segmenter must find the lesion.")
    threshold: Share = Field(0.5, description="Least score.")
    attempts: int = Field(3, ge=1, description="Draws before a patch is given back unchanged (1 in the published code).")


DEFECTS = {
    "channel_routing": "The generator's channel is chosen on collapsed labels, so that only channel 0 is ever trained and used.",
    "class_blind_loss": "The segmenter's loss sums the tumor channels of all organs, so that a liver tumor may pass as a kidney tumor.",
    "unconditioned": "The generator sees the patch alone: no mask, no organ.",
    "discriminator_labels": "The discriminator step sees labels that were not remapped: for every organ but the first, tumors and fakes are confused.",
    "gradient_leak": "Gradients of the generator's loss stay in the discriminator and are applied with its own.",
    "batch_statistics": "Generator and discriminator use batch statistics, also at inference.",
    "blurred_rim": "The blurred mask changes voxels outside the label.",
    "recall_gate": "The gate asks for recall > 0.7 of any tumor class, once, and keeps the patch unchanged on refusal.",
}


class Synthesizer(Section):
    """A combination of shape, texture, painter, compositor and gate."""

    shape: Shape = Shape()
    texture: Texture = Texture()
    painter: Painter
    compositor: Compositor = Compositor()
    gate: Gate = Gate()
    mode: Literal["corrected", "as_published"] = Field(
        "corrected", description="`as_published` switches all published defects on."
    )
    defects: dict[Literal[tuple(DEFECTS)], bool] = Field(
        default_factory=dict, description="Single published defects, switched on or off against the mode."
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> "Synthesizer":
        if self.painter.kind == "transplant" and self.shape.kind != "real":
            raise ValueError("the painter 'transplant' needs shape.kind 'real'")
        return self

    def has(self, defect: str) -> bool:
        """Whether a published defect is switched on."""
        return self.defects.get(defect, self.mode == "as_published")

    @property
    def trained(self) -> bool:
        """Whether this synthesizer has weights of its own."""
        return self.painter.kind == "difference"

    @property
    def judged(self) -> bool:
        """Whether this synthesizer needs the segmenter when it paints."""
        return self.gate.kind == "segmenter"


class Arm(Section):
    """One way to train a recognizer; arms differ in one thing and share real images and steps."""

    synthesizer: Name | None = Field(None, description="Key of `synthesizers`; empty: real images only.")
    augmentation: Literal["none", "standard"] = Field(
        "none", description="`standard`: the flips, rotations and intensity changes of the paper."
    )
    cutmix: Literal["none", "consistent", "independent_axes"] = Field(
        "none",
        description="Cut-and-join of patches; `independent_axes` is the published defect: image and label are cut along axes drawn apart.",
    )
    lesions: Literal["online", "bank"] = Field("online", description="Paint while training, or take lesions from the bank.")
    synthetic_share: Share = Field(0.5, description="Share of each batch that is painted on, if there is a synthesizer.")


class Synthesis(Section):
    """Painting at scale: the bank."""

    synthesizers: list[Name] = Field(
        default_factory=list,
        description="Synthesizers whose bank is made; those that arms take from the bank are added.",
    )
    lesions_per_case: int = Field(4, ge=1, description="Draws per canvas.")
    shards: int = Field(2, ge=1, description="Jobs the canvases are divided into; the result does not depend on it.")
    export_cases: int = Field(4, ge=0, description="Volumes written as NIfTI pairs by the target `export`.")


class Recognition(Section):
    """Training of recognition networks."""

    network: Network = Network()
    training: Training = Training()
    arms: Annotated[list[Name], Distinct] = Field(
        min_length=1, description="Arms that are run; the first is the baseline of all comparisons."
    )
    seeds: Annotated[list[int], Distinct] = Field(
        [1, 2], min_length=1, description="Seeds; each arm is trained once per fold and seed."
    )
    overlap: float = Field(0.25, ge=0, lt=1, description="Overlap of the sliding window (0.75 in the paper).")


class Evaluation(Section):
    """Scores and comparisons."""

    surface_tolerance: Positive = Field(2.0, description="Tolerance of the surface Dice in mm, fixed beforehand.")
    min_lesion_ml: float = Field(0.02, ge=0, description="Smaller components are not lesions.")
    match_iou: Share = Field(0.1, description="A lesion is detected by a one-to-one match of at least this IoU.")
    size_bins: list[float] = Field([10.0, 20.0, 30.0], description="Bounds of the lesion diameter bins in mm.")
    early_mm: Positive = Field(20.0, description="Lesions up to this diameter are early.")
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="Level of all intervals.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples.")
    primary: list[str] = Field(
        ["dice", "sensitivity_early"], description="Metrics of the family that is corrected for multiple comparisons."
    )


class Config(Section):
    """A study."""

    study: Name = Field(description="Name of the study, also of its folder below `results/`.")
    title: str = Field("", description="One line for the report.")
    seed: int = Field(2025, description="Every random draw of the study derives from it.")
    compute: Compute = Compute()
    organs: list[Structure] = Field(
        min_length=1, description="Organs of the study. Organ i has class 2 i + 1, its tumor 2 i + 2."
    )
    preset: Name = Field(description="Key of `presets`.")
    presets: dict[Name, Preset] = Field(description="Named forms of preprocessing.")
    checks: Checks = Checks()
    sources: list[Source] = Field(min_length=1, description="Where images come from.")
    cohort: Cohort = Cohort()
    segmenter: Segmenter = Segmenter()
    synthesizers: dict[Name, Synthesizer] = Field(default_factory=dict, description="Named synthesizers.")
    synthesis: Synthesis = Synthesis()
    arms: dict[Name, Arm] = Field(description="Named arms.")
    recognition: Recognition
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        _require(self.preset, self.presets, "preset", "presets")
        for arm in self.recognition.arms:
            _require(arm, self.arms, "recognition.arms", "arms")
            if self.arms[arm].synthesizer is not None:
                _require(self.arms[arm].synthesizer, self.synthesizers, f"arms.{arm}.synthesizer", "synthesizers")
        for name in self.synthesis.synthesizers:
            _require(name, self.synthesizers, "synthesis.synthesizers", "synthesizers")
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: two sources have the same name")
        outside = [fold for fold in self.cohort.run_folds or [] if not 0 <= fold < self.cohort.folds]
        if outside:
            raise ValueError(f"cohort.run_folds: {outside[0]} is not a fold; folds are 0 to {self.cohort.folds - 1}")
        if len(set(self.organs)) < len(self.organs):
            raise ValueError("organs: an organ is listed twice")
        return self

    @model_validator(mode="after")
    def _patch_suits_networks(self) -> "Config":
        networks = {"segmenter.network": self.segmenter.network, "recognition.network": self.recognition.network}
        for name in self.used_synthesizers:
            if self.synthesizers[name].trained:
                networks[f"synthesizers.{name}.painter.network"] = self.synthesizers[name].painter.network
        for where, network in networks.items():
            cells = [length / network.stride for length in self.working.patch]
            if any(cell != int(cell) for cell in cells) or all(cell == 1 for cell in cells):
                raise ValueError(
                    f"presets.{self.preset}.patch: {where} '{network.name}' needs multiples of {network.stride} voxels, and more "
                    f"than one, got {list(self.working.patch)}"
                )
        return self

    @property
    def working(self) -> Preset:
        """The preset of the study."""
        return self.presets[self.preset]

    @property
    def folds(self) -> list[int]:
        """The folds that are run."""
        return list(self.cohort.run_folds or range(self.cohort.folds))

    @property
    def banks(self) -> list[str]:
        """Synthesizers whose bank is needed, in a fixed order."""
        arms = (self.arms[arm] for arm in self.recognition.arms)
        needed = {arm.synthesizer for arm in arms if arm.synthesizer and arm.lesions == "bank"}
        return sorted(needed.union(self.synthesis.synthesizers))

    @property
    def used_synthesizers(self) -> list[str]:
        """Synthesizers that arms or banks need, in a fixed order."""
        arms = (self.arms[arm].synthesizer for arm in self.recognition.arms)
        return sorted({name for name in arms if name}.union(self.banks))

    def source(self, name: str) -> PhantomSource | FolderSource:
        """The source called ``name``."""
        return next(source for source in self.sources if source.name == name)


def _require(name: str, known: dict[str, Any], where: str, table: str) -> None:
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"
        raise ValueError(f"{where}: '{name}' is not a key of {table}{hint}")
