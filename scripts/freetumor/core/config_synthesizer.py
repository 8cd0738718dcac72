"""The parts of a synthesizer in the configuration, and the published defects as switches.

See ``config``, which re-exports them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .config_gate import Gate
from .config_parts import Count, Interval, Name, Network, NotNegative, Positive, Section, Share, Structure, Training, _ordered

Decay = Annotated[float, Field(ge=0, lt=1)]


class Growth(Section):
    """Growth of a tumor by a cellular automaton, up to the volume of the ball of its size class."""

    limits: dict[Structure, Interval] = Field(
        default_factory=dict,
        description="Per organ the HU between which tissue is divided into three levels of density; above is a wall (published: 100 to 160 for liver and pancreas, 140 to 200 for kidney). An organ that is not named takes its own: from half a spread below its median to two and a half above, the spread being the distance of its 16% quantile from its median.",
    )
    smoothing: float = Field(
        1.0, ge=0, description="Gaussian in mm against noise before levels are told apart (published: none)."
    )
    acceptance: tuple[Share, Share, Share] = Field(
        (1.0, 0.3, 0.1), description="Chance that a cell accepts an infection, from the least dense level to the densest."
    )
    tries: int = Field(3, ge=1, description="Neighbors that a cell turns to in a step, until one accepts.")
    pressure: int = Field(5, ge=1, description="Times that a wall must be pressed within a step to break.")
    max_steps: int = Field(300, ge=1, description="Steps after which growth ends, whatever the size.")
    satellite_share: Share = Field(1 / 3, description="Share of the tumors with satellites.")
    satellites: Annotated[tuple[Count, Count], AfterValidator(_ordered)] = Field(
        (3, 9), description="Least and greatest number of satellites."
    )
    satellite_distance: Positive = Field(10.0, description="Greatest distance of a satellite from the first cell in mm.")
    necrosis_share: Share = Field(0.5, description="Share of the large tumors with a necrotic core.")
    necrosis_after: int = Field(50, ge=0, description="Steps that a tumor must have grown to be large.")


class Sizes(Section):
    """Size classes of lesions."""

    radius: dict[str, Positive] = Field(
        {"tiny": 5.0, "small": 8.0, "medium": 12.0, "large": 18.0},
        description="Nominal semi-axis of each size class in mm.",
    )
    probability: dict[str, NotNegative] = Field(
        {"tiny": 0.25, "small": 0.3, "medium": 0.25, "large": 0.2},
        description="Probability of each size class; they sum to one.",
    )

    @model_validator(mode="after")
    def _classes_agree(self) -> "Sizes":
        if set(self.radius) != set(self.probability):
            raise ValueError("radius and probability must name the same size classes")
        if abs(sum(self.probability.values()) - 1) > 1e-6:
            raise ValueError("the probabilities must sum to one")
        return self


class Shape(Sizes):
    """Lesion masks."""

    kind: Literal["ellipsoid", "automaton", "real"] = Field(
        "ellipsoid",
        description="`ellipsoid`: randomly deformed, in size classes; `automaton`: grown, in the same size classes; `real`: the mask of a real training lesion.",
    )
    by_organ: dict[Structure, Sizes] = Field(
        default_factory=dict, description="Size classes of single organs, where they differ from the above."
    )
    jitter: Share = Field(0.25, description="Each semi-axis is uniform within this share around the nominal one.")
    deformation: float = Field(
        0.25, ge=0, le=1, description="Standard deviation of the displacement, as a share of the radius."
    )
    max_depth_ratio: Positive = Field(2.0, description="A semi-axis is at most this multiple of the organ's greatest depth.")
    growth: Growth = Field(Growth(), description="`automaton`: how it grows.")

    def sizes(self, organs: Sequence[str]) -> list[Sizes]:
        """The size classes of each of ``organs``."""
        return [self.by_organ.get(organ, self) for organ in organs]


class Texture(Section):
    """The texture T: smoothed Bernoulli noise with the published statistics, made at patch size."""

    sigma_a: list[Positive] = Field(
        [3, 6, 9, 12, 15], description="Smoothing of the probability field in mm; one is drawn per lesion."
    )
    sigma_b: list[Positive] = Field([4, 7], description="Smoothing of the texture in mm; one is drawn per lesion.")
    level: Interval = Field((0.5, 0.55), description="The mean over values above 0.12 is uniform in this interval.")


class Autoencoder(Section):
    """Networks that turn a window of CT into a grid of latents and back."""

    fold: int = Field(
        2,
        ge=1,
        description="Voxels per axis that are folded into channels before the first convolution; their number falls by its cube, and with it the cost.",
    )
    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        [32], description="Channels per level; every level but the first halves the resolution once more."
    )
    latent: int = Field(4, ge=1, description="Channels of the latents (8 in DiffTumor).")
    divergence: float = Field(
        1e-4,
        ge=0,
        description="Weight of the Kullback-Leibler divergence of the latents from a normal distribution, beside L1.",
    )
    training: Training = Field(
        Training(steps=700, learning_rate=4e-3, batch=4, weight_decay=0.0), description="Its training, the first phase."
    )


class Denoiser(Section):
    """The network that turns noise into the latents of a tumor."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        [16, 32, 64], description="Channels per level; every level but the first halves the resolution."
    )
    timesteps: int = Field(200, ge=2, description="Steps of the noising process.")
    predicts: Literal["velocity", "noise"] = Field(
        "velocity",
        description="What it is trained to predict; `noise` as published, but ill-posed where few steps start: at pure noise.",
    )
    average: Share = Field(0.995, description="Decay of the moving average of its weights that is kept.")
    training: Training = Field(
        Training(steps=900, learning_rate=2e-3, batch=4, weight_decay=0.0), description="Its training, the second phase."
    )


class Diffusion(Section):
    """A latent diffusion of tumors (DiffTumor family)."""

    autoencoder: Autoencoder = Autoencoder()
    denoiser: Denoiser = Denoiser()
    margin: int = Field(4, ge=0, description="Least voxels around a lesion, per side, that the networks see.")
    early_mm: Positive = Field(20.0, description="Lesions of at most this equivalent-sphere diameter are early.")
    early_steps: int = Field(
        4, ge=1, description="Sampling steps of an early lesion (as in DiffTumor), at most `denoiser.timesteps`."
    )
    late_steps: int = Field(10, ge=1, description="Sampling steps of any other lesion (50 in DiffTumor), at most as many.")

    @model_validator(mode="after")
    def _steps_are_few(self) -> "Diffusion":
        for key, steps in (("early_steps", self.early_steps), ("late_steps", self.late_steps)):
            if steps > self.denoiser.timesteps:
                raise ValueError(f"{key}: must be at most denoiser.timesteps = {self.denoiser.timesteps}, got {steps}")
        return self

    @property
    def cell(self) -> int:
        """Voxels per axis that a latent stands for."""
        return self.autoencoder.fold * 2 ** (len(self.autoencoder.channels) - 1)

    @property
    def stride(self) -> int:
        """Voxels per axis that the deepest level of the denoiser sees as one; the networks see windows of a multiple of it."""
        return self.cell * 2 ** (len(self.denoiser.channels) - 1)


class Painter(Section):
    """What fills the mask."""

    kind: Literal["constant", "states", "difference", "diffusion", "transplant", "dcgan", "acgan"] = Field(
        description="`constant`: a texture of constant contrast (SynTumor family); `states`: a texture whose contrast follows the states of a grown tumor (Pixel2Cancer family; needs the shape `automaton`); `difference`: a learned difference (FreeTumor); `diffusion`: a latent diffusion (DiffTumor family); `transplant`: the pixels of a real lesion (copy-paste). On an empty canvas: `dcgan`, a generator per category; `acgan`, one generator told the category."
    )
    contrast: Interval = Field((65.0, 145.0), description="`constant`, `states`: contrast in HU; uniform.")
    necrosis: Interval = Field((90.0, 110.0), description="`states`: further contrast of necrosis in HU; uniform.")
    network: Network = Field(Network(name="unet3d", channels=[8]), description="`difference`: generator and discriminator.")
    training: Training = Field(
        Training(steps=300, learning_rate=1e-3, schedule="constant", batch=4),
        description="`difference`, `dcgan`, `acgan`: adversarial training. The latter two take Adam without weight decay.",
    )
    width: int = Field(
        64, ge=1, description="`dcgan`, `acgan`: channels of the discriminator's first convolution (64 in the paper)."
    )
    latent: int = Field(100, ge=1, description="`dcgan`, `acgan`: length of the noise vector, uniform in -1 to 1.")
    betas: tuple[Decay, Decay] = Field(
        (0.5, 0.999),
        description="`dcgan`, `acgan`: decay of Adam's means of gradients and of their squares (0.5 and 0.999 in the paper). With few images, 0 as the first keeps generated ones more different from each other.",
    )
    group: int = Field(
        5000,
        ge=0,
        description="`dcgan`, `acgan`: classically augmented samples per fold that the generator learns from, with the originals.",
    )
    adversarial_weight: float = Field(0.1, ge=0, description="`difference`: weight of the discriminator against the segmenter.")
    diffusion: Diffusion = Field(Diffusion(), description="`diffusion`: its networks, their trainings and sampling.")
    polarity: Literal["subtract", "add"] = Field(
        "subtract",
        description="`difference`: abdomen subtracts tanh(G), chest adds sigmoid(G). `constant`, `states`: darker than the organ, or (lung) denser.",
    )
    smoothing: float = Field(
        1.0,
        ge=0,
        description="`difference`: Gaussian smoothing of the learned difference in voxels, seven taps per axis as published.",
    )
    labeled_share: Share = Field(
        0.6, description="`difference`: share of training patches from labeled cases (0.86 in the released lists)."
    )


class Placement(Section):
    """Where lesions go within their organ."""

    margin: float = Field(0.0, ge=0, description="Least distance of a lesion's center from the organ's border in mm.")
    vessel_margin: float = Field(
        0.0, ge=0, description="Least distance of a lesion's center from the organ's bright vessels in mm; 0 ignores them."
    )


class Compositor(Section):
    """How the lesion is blended into the organ."""

    blur: Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)] = Field(
        (1.0, 2.0), description="Gaussian blur of the mask in mm; uniform."
    )
    border: float = Field(
        0.5,
        ge=0,
        le=0.5,
        description="Blend weight at the border of the lesion. One half is that of a blurred mask, as published: a lesion begins with half of its contrast. Less makes the rim fade, as that of real lesions does.",
    )
    tolerance: float = Field(
        1.0, gt=0, description="Declared tolerance in HU: the label covers exactly the voxels that changed by more."
    )


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
    placement: Placement = Placement()
    texture: Texture = Texture()
    painter: Painter
    compositor: Compositor = Compositor()
    gate: Gate = Gate()
    trained_as: Name | None = Field(
        None,
        description="Paint with the networks of this other synthesizer, which has the same painter, instead of training some. For variants that differ in what comes after training, such as the gate.",
    )
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
        if self.painter.kind == "states" and self.shape.kind != "automaton":
            raise ValueError("the painter 'states' needs shape.kind 'automaton'")
        if self.whole_image and self.gate.kind != "none":
            raise ValueError(f"gate: a segmenter cannot judge the whole images of '{self.painter.kind}'")
        if self.has("blurred_rim") and self.compositor.border != 0.5:
            raise ValueError(
                "compositor.border: must be 0.5 with the published defect 'blurred_rim', whose blend is the blurred mask"
            )
        if self.gate.asks("discriminator") and self.painter.kind != "difference":
            raise ValueError("gate.realism: only the painter 'difference' has a discriminator")
        if self.gate.kind == "composed" and self.gate.copies is not None and self.painter.kind == "transplant":
            raise ValueError("gate.copies: the painter 'transplant' copies by design")
        return self

    def has(self, defect: str) -> bool:
        """Whether a published defect is switched on."""
        return self.defects.get(defect, self.mode == "as_published")

    @property
    def trained(self) -> bool:
        """Whether this synthesizer has weights of its own."""
        return self.painter.kind in ("difference", "diffusion", "dcgan", "acgan")

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
        return self.gate.kind != "none" and (self.has("recall_gate") or self.gate.asks("segmenter"))
