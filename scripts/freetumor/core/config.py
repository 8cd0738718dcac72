"""The configuration of a study: one strict model from which the schema and the reference page are generated.

Every length is in millimeters, every intensity in HU, every triple in the order z, y, x, unless a description says otherwise.
This module is read by the Snakefile and imports nothing heavy.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_checks import check
from .config_downloads import DownloadSettings
from .config_figures import figures_of, scaled_arms
from .config_parts import (
    Checks,
    Compute,
    Distinct,
    FeatureNetwork,
    Name,
    Network,
    Positive,
    Preset,
    Section,
    Share,
    Structure,
    Training,
    Triple,
)
from .config_reading import Reading
from .config_reporting import DataFacts, Reporting
from .config_sources import (
    ExtraLabels,
    FolderSource,
    OrganLabels,
    PhantomSource,
    PublicSource,
    RoiFolderSource,
    RoiPhantomSource,
    Source,
)
from .config_synthesizer import (
    DEFECTS,
    Compositor,
    Diffusion,
    Gate,
    Growth,
    Painter,
    Placement,
    Shape,
    Sizes,
    Synthesizer,
    Texture,
)

__all__ = [
    "DEFECTS",
    "Arm",
    "Checks",
    "Cohort",
    "Compositor",
    "Compute",
    "Config",
    "DataFacts",
    "Diffusion",
    "DownloadSettings",
    "Evaluation",
    "ExtraLabels",
    "FeatureNetwork",
    "FolderSource",
    "Gate",
    "Growth",
    "Network",
    "OrganLabels",
    "Painter",
    "PhantomSource",
    "Placement",
    "Preset",
    "PublicSource",
    "Reading",
    "Recognition",
    "Reporting",
    "RoiFolderSource",
    "RoiPhantomSource",
    "Segmenter",
    "Selection",
    "Shape",
    "Sizes",
    "Source",
    "Synthesis",
    "Synthesizer",
    "Texture",
    "Training",
    "Triple",
]


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


class Segmenter(Section):
    """The baseline segmenter S: judge of the generator, and of the gate."""

    network: Network = Network()
    training: Training = Training()


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
    variants: int | None = Field(
        None, ge=1, description="`bank`: use only this many of the draws per canvas, the first ones; all if empty."
    )
    synthetic_share: Share = Field(
        0.5, description="Share of each batch that is painted on, in whole patches, if there is a synthesizer."
    )
    group: int = Field(
        0,
        ge=0,
        description="`classification`: classically augmented samples that join the training set of a fold; smaller groups are parts of larger ones.",
    )
    synthetic: int = Field(
        0,
        ge=0,
        description="`classification`: synthetic samples per category that join the training set; smaller sets are parts of larger ones.",
    )


class Synthesis(Section):
    """Painting at scale: the bank."""

    synthesizers: list[Name] = Field(
        default_factory=list,
        description="Synthesizers whose bank is made; those that arms take from the bank are added.",
    )
    lesions_per_case: int = Field(4, ge=1, description="Draws per canvas.")
    lesions_per_volume: int = Field(
        1,
        ge=1,
        description="Draws that share a painted volume, in which they never touch; the others are volumes of their own.",
    )
    shards: int = Field(2, ge=1, description="Jobs the canvases are divided into; the result does not depend on it.")
    images_per_category: int = Field(100, ge=1, description="Images per category in the bank of a synthesizer of whole images.")
    exports: Annotated[list[Literal["nifti", "nnunet", "dicom", "monai"]], Distinct] = Field(
        ["nifti"],
        description="What the target `export` writes: NIfTI pairs, a raw data set for nnU-Net, DICOM series with segmentations for viewers, NIfTI pairs with a data list for MONAI.",
    )
    export_cases: int | None = Field(
        4, ge=0, description="Canvases whose painted volumes are exported, the first by id; all if empty."
    )
    export_variants: int | None = Field(1, ge=1, description="Painted versions exported per canvas; all if empty.")
    export_real: bool = Field(
        True, description="`nnunet`, `monai`: the labeled training and validation cases join the painted volumes."
    )
    nnunet_id: int = Field(
        900, ge=1, le=999, description="Number of the nnU-Net data set of the first bank and fold; the others follow."
    )
    deck_images: int = Field(
        10,
        ge=1,
        description="Images per category, real and as many synthetic, in the deck of a Visual Turing Test (target `export`).",
    )


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


class Selection(Section):
    """An arm chosen among others, per fold: what a researcher does who tries several amounts of data and reports the best."""

    candidates: Annotated[list[Name], Distinct] = Field(min_length=2, description="Arms to choose from.")
    by: Literal["validation", "test"] = Field(
        "validation",
        description="`validation`: nested, by the validation part of the training folds; `test`: optimistic, by the very folds that are reported.",
    )


class Evaluation(Section):
    """Scores and comparisons."""

    surface_tolerance: Positive = Field(2.0, description="Tolerance of the surface Dice in mm, fixed beforehand.")
    min_lesion_ml: float = Field(0.02, ge=0, description="Smaller components are not lesions.")
    match_iou: Share = Field(0.1, description="A lesion is detected by a one-to-one match of at least this IoU.")
    candidate_floor: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Least tumor probability of a voxel of a lesion candidate, by which detection is scored."
    )
    size_bins: list[float] = Field([10.0, 20.0, 30.0], description="Bounds of the lesion diameter bins in mm.")
    early_mm: Positive = Field(20.0, description="Lesions up to this diameter are early.")
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="Level of all intervals.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples.")
    primary: list[str] = Field(
        ["dice", "sensitivity_early"], description="Metrics of the family that is corrected for multiple comparisons."
    )
    selections: dict[Name, Selection] = Field(
        default_factory=dict, description="Named choices among arms; each is compared with the baseline like an arm."
    )
    claims: str | None = Field(
        None, description="CSV of published numbers to set beside the measured ones; a path below `studies/claims/`."
    )
    reading: Reading | None = Field(
        None,
        description="Answers of readers to a deck, for the table `evaluation/reading.csv` that is made on request; none if empty.",
    )
    feature_network: FeatureNetwork | None = Field(
        None,
        description="A trained network as one more space in which painted lesions are compared with real ones; none if empty.",
    )


class Config(Section):
    """A study."""

    study: Name = Field(description="Name of the study, also of its folder below `results/`.")
    title: str = Field("", description="One line for the report.")
    task: Literal["segmentation", "classification"] = Field("segmentation", description="What recognizers learn.")
    seed: int = Field(2025, description="Every random draw of the study derives from it.")
    compute: Compute = Compute()
    organs: list[Structure] = Field(
        min_length=1, description="Organs of the study. Organ i has class 2 i + 1, its tumor 2 i + 2."
    )
    categories: Annotated[list[Structure], Distinct] = Field(
        default_factory=list, description="Categories of lesions that a classification tells apart, in order."
    )
    preset: Name = Field(description="Key of `presets`.")
    presets: dict[Name, Preset] = Field(description="Named forms of preprocessing.")
    checks: Checks = Checks()
    sources: list[Source] = Field(min_length=1, description="Where images come from.")
    downloads: DownloadSettings = DownloadSettings()
    cohort: Cohort = Cohort()
    segmenter: Segmenter = Segmenter()
    synthesizers: dict[Name, Synthesizer] = Field(default_factory=dict, description="Named synthesizers.")
    synthesis: Synthesis = Synthesis()
    arms: dict[Name, Arm] = Field(description="Named arms.")
    recognition: Recognition
    evaluation: Evaluation = Evaluation()
    reporting: Reporting = Reporting()

    @model_validator(mode="after")
    def _parts_agree(self) -> "Config":
        check(self)
        return self

    @property
    def working(self) -> Preset:
        """The preset of the study."""
        return self.presets[self.preset]

    @property
    def fits(self) -> dict[str, list]:
        """What networks of this study can be used for: structures, and the spacing and window of what they see."""
        preset = self.working.model_dump(mode="json")
        return {"organs": self.organs, "categories": self.categories, "spacing": preset["spacing"], "window": preset["window"]}

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

    @property
    def trainings_of_synthesizers(self) -> list[str]:
        """Synthesizers that are trained, for themselves or for others that paint with their networks, in a fixed order."""
        return sorted({self.weights_of(name) for name in self.used_synthesizers if self.synthesizers[name].trained})

    def weights_of(self, name: str) -> str:
        """The synthesizer whose trained networks the one called ``name`` paints with."""
        return self.synthesizers[name].trained_as or name

    @property
    def needs_segmenter(self) -> bool:
        """Whether a synthesizer is trained against the segmenter, or judged by it."""
        used = (self.synthesizers[name] for name in self.used_synthesizers)
        return any(synthesizer.taught or synthesizer.judged for synthesizer in used)

    @property
    def figures(self) -> list[str]:
        """Figures of the report, in order."""
        return figures_of(self)

    @property
    def scaled(self) -> dict[str, dict[str, int]]:
        """Per synthesizer, arms that differ in the number of draws per scan that they take from its bank: at least three."""
        return scaled_arms(self)

    @property
    def compared(self) -> list[str]:
        """Arms and selections that are compared; the first is the baseline."""
        return [*self.recognition.arms, *self.evaluation.selections]

    @property
    def embedded(self) -> list[str]:
        """Arms whose last layer is drawn: the baseline, the largest classic group, and the most synthetic samples."""
        arms = self.recognition.arms
        classic = max(
            (arm for arm in arms if not self.arms[arm].synthetic), key=lambda arm: self.arms[arm].group, default=arms[0]
        )
        synthetic = max(arms, key=lambda arm: (self.arms[arm].synthetic, self.arms[arm].group))
        return list(dict.fromkeys([arms[0], classic, synthetic]))

    def source(self, name: str) -> Source:
        """The source called ``name``."""
        return next(source for source in self.sources if source.name == name)
