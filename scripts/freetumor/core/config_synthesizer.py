"""The parts of a synthesizer in the configuration, and the published defects as switches.

See ``config``, which re-exports them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .config_parts import Interval, Network, NotNegative, Positive, Section, Share, Training, _ordered


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

    kind: Literal["constant", "difference", "transplant", "dcgan", "acgan"] = Field(
        description="`constant`: a texture of constant contrast (SynTumor family); `difference`: a learned difference (FreeTumor); `transplant`: the pixels of a real lesion (copy-paste). On an empty canvas: `dcgan`, a generator per category; `acgan`, one generator told the category."
    )
    contrast: Interval = Field((65.0, 145.0), description="`constant`: contrast in HU; uniform.")
    network: Network = Field(Network(name="unet3d", channels=[8]), description="`difference`: generator and discriminator.")
    training: Training = Field(
        Training(steps=300, learning_rate=1e-3, schedule="constant", batch=4),
        description="`difference`, `dcgan`, `acgan`: adversarial training. The latter two take Adam without weight decay.",
    )
    width: int = Field(
        64, ge=1, description="`dcgan`, `acgan`: channels of the discriminator's first convolution (64 in the paper)."
    )
    latent: int = Field(100, ge=1, description="`dcgan`, `acgan`: length of the noise vector, uniform in -1 to 1.")
    group: int = Field(
        5000,
        ge=0,
        description="`dcgan`, `acgan`: classically augmented samples per fold that the generator learns from, with the originals.",
    )
    adversarial_weight: float = Field(0.1, ge=0, description="`difference`: weight of the discriminator against the segmenter.")
    polarity: Literal["subtract", "add"] = Field(
        "subtract",
        description="`difference`: abdomen subtracts tanh(G), chest adds sigmoid(G). `constant`: darker than the organ, or (lung) denser.",
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
        if self.whole_image and self.gate.kind == "segmenter":
            raise ValueError(f"gate: a segmenter cannot judge the whole images of '{self.painter.kind}'")
        return self

    def has(self, defect: str) -> bool:
        """Whether a published defect is switched on."""
        return self.defects.get(defect, self.mode == "as_published")

    @property
    def trained(self) -> bool:
        """Whether this synthesizer has weights of its own."""
        return self.painter.kind in ("difference", "dcgan", "acgan")

    @property
    def taught(self) -> bool:
        """Whether this synthesizer is trained against the segmenter."""
        return self.painter.kind == "difference"

    @property
    def whole_image(self) -> bool:
        """Whether this synthesizer makes a whole image on an empty canvas, of a category, instead of painting into an organ."""
        return self.painter.kind in ("dcgan", "acgan")

    @property
    def judged(self) -> bool:
        """Whether this synthesizer needs the segmenter when it paints."""
        return self.gate.kind == "segmenter"
