"""The jobs whose memory and time are measured: what varies is what the needs of a job are computed from.

Each point is a job of the workflow on a made-up study, of very few steps: memory is that of any number of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from freetumor.core import settings
from freetumor.core.config import Config

BASE = {
    "study": "needs",
    "compute": {"device": "cpu"},
    "organs": ["liver", "kidney"],
    "preset": "made",
    "presets": {"made": {"spacing": [1.5, 1.5, 1.5], "window": [-175, 250], "patch": [24, 24, 24]}},
    "sources": [{"name": "made", "kind": "phantom", "labeled": 4}],
    "arms": {"real": {}},
    "recognition": {"arms": ["real"], "seeds": [1]},
}
Shape = tuple[int, int, int]
SMALL: Shape = (64, 96, 96)
WIDE: Shape = (128, 160, 160)
SCAN: Shape = (179, 512, 512)


@dataclass(frozen=True)
class Point:
    """A job to be measured.

    Attributes:
        kind: of the job, a key of ``core.needs.LOADS``.
        name: of the point, among those of its kind.
        study: what it adds to the default study.
        job: what tells it from other jobs of its kind, such as ``{"arm": "real"}``.
        parts: the parts of the scans that there are, one letter each: train, validation (v), test (e), pool.
        stored: voxels of a stored scan.
        native: voxels of a scan as it was read; the same if not given.
        copies: rows of the fold table per scan.
        count: rows, where the job is about a table.
    """

    kind: str
    name: str
    study: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, str] = field(default_factory=dict)
    parts: str = "ttv"
    stored: Shape = SMALL
    native: Shape | None = None
    copies: int = 1
    count: int = 0


def configuration(study: Mapping[str, Any]) -> Config:
    """The study of a point: what it adds, over :data:`BASE`."""
    return settings.validate(settings.merge(BASE, study))


def unet(*channels: int, units: int = 0, **more: str) -> dict[str, Any]:
    """A network of the configuration."""
    return {"name": "unet", "channels": channels or (16, 32, 64), "residual_units": units, **more}


def unet3d(width: int) -> dict[str, Any]:
    """A network of the configuration."""
    return {"name": "unet3d", "channels": [width]}


def swin(width: int) -> dict[str, Any]:
    """A network of the configuration."""
    return {"name": "swin_unetr", "channels": [width]}


def training(batch: int, steps: int = 3, **more: Any) -> dict[str, Any]:
    """A training that steps, validates and saves."""
    return {"steps": steps, "batch": batch, "validate_every": 2, "checkpoint_every": 2, **more}


def points() -> list[Point]:
    """All of them."""
    return [*_segmenters(), *_synthesizers(), *_painting(), *_predictions(), *_regions(), *_scans(), *_tables()]


def _patch(length: int) -> dict[str, Any]:
    return {"presets": {"made": {"patch": [length] * 3}}}


HELD_OUT = (  # of no fit
    (unet(24, 48, 96), 80, 3),
    (unet(8, 16, 32, 64, units=1), 64, 6),
    (unet3d(12), 64, 3),
    (unet3d(24), 80, 1),
    (swin(36), 64, 1),
)


def _segmenters() -> Iterator[Point]:
    def point(network: dict[str, Any], length: int, batch: int, stored: Shape = (32, 32, 32), **more: Any) -> Point:
        units = f" with {network['residual_units']} residual units" if network.get("residual_units") else ""
        parts = f" in {more['accumulate']} parts" if "accumulate" in more else ""
        title = f"{network['name']} {'-'.join(map(str, network['channels']))}{units}, patch {length}, batch {batch}{parts}"
        settings = {"network": network, "training": training(batch, **more)}
        name = f"{title}, scans of {' x '.join(map(str, stored))}"
        return Point("train_segmenter", name, _patch(length) | {"segmenter": settings}, {"fold": "0"}, stored=stored)

    for length, batch in ((24, 1), (24, 8), (48, 1), (48, 4), (48, 8), (64, 4), (96, 1), (96, 8)):
        yield point(unet(), length, batch)
    yield point(unet(), 96, 8, accumulate=4)
    for length, batch in ((48, 4), (64, 4), (96, 1)):
        yield point(unet(units=2), length, batch)
    yield point(unet(32, 64, 128, 256, units=2), 64, 2)
    yield point(unet(32, 64, 128, 256, units=2), 96, 1)
    yield point(unet(32, 64, 128, 256), 96, 2)
    yield point(unet(8, 16, 32, units=2), 48, 8)
    yield point(unet3d(2), 24, 4)
    for length, batch in ((48, 1), (48, 4), (96, 1), (96, 2)):
        yield point(unet3d(8), length, batch)
    yield point(unet3d(16), 64, 2)
    for length, batch in ((48, 1), (48, 2), (64, 1), (96, 1)):
        yield point(unet3d(32), length, batch)
    for width in (12, 24, 48):
        for length, batch in ((64, 1), (64, 2), (96, 1)):
            yield point(swin(width), length, batch, (64, 64, 64), steps=2)
    for stored in (WIDE, (128, 256, 256), (200, 256, 256)):
        yield point(unet(), 24, 2, stored, steps=2)
        yield point(unet(), 96, 1, stored, steps=2)
    for network, length, batch in HELD_OUT:
        yield replace(held := point(network, length, batch, SMALL), name=f"{held.name}, held out")
    many = training(2, steps=2)
    yield Point(
        "train_segmenter",
        "3,000 labeled scans in a fold of 9,000",
        _patch(24) | {"segmenter": {"network": unet(), "training": many}},
        {"fold": "0"},
        "tvp",
        (48, 64, 64),
        copies=3000,
    )


def difference(network: dict[str, Any], batch: int, **more: Any) -> dict[str, Any]:
    """A synthesizer of the painter `difference`, every lesion of which is kept."""
    painter = {"kind": "difference", "network": network, "training": training(batch, **more)}
    return {"painter": painter, "gate": {"kind": "segmenter", "threshold": 0.0, "attempts": 2}}


def diffusion(batch: int, autoencoder: tuple[int, ...] = (32,), denoiser: tuple[int, ...] = (16, 32, 64)) -> dict[str, Any]:
    """A synthesizer of the painter `diffusion`."""
    phases = {"autoencoder": {"channels": autoencoder}, "denoiser": {"channels": denoiser}}
    return {
        "painter": {
            "kind": "diffusion",
            "diffusion": {name: {**phase, "training": training(batch)} for name, phase in phases.items()},
        }
    }


GENERATOR = unet(8, 16, 32, units=2, norm="instance")


def _synthesizers() -> Iterator[Point]:
    def point(name: str, length: int, painter: dict[str, Any], judge: dict[str, Any], parts: str, stored: Shape) -> Point:
        study = _patch(length) | {"segmenter": {"network": judge}, "synthesizers": {"made": painter}}
        return Point("train_synthesizer", name, study, {"fold": "0", "synthesizer": "made"}, parts, stored)

    for length, batch in ((24, 4), (48, 4), (96, 1), (96, 4)):
        yield point(
            f"difference, default networks, patch {length}, batch {batch}",
            length,
            difference(GENERATOR, batch),
            unet(),
            "ttp",
            SMALL,
        )
    for name, length, painter, judge in (
        ("unet3d 8, patch 48, batch 4", 48, difference(unet3d(8), 4), unet()),
        ("unet3d 8, patch 48, batch 4 in 2 parts", 48, difference(unet3d(8), 4, accumulate=2), unet()),
        ("unet3d 32 and unet3d 16, patch 64, batch 1", 64, difference(unet3d(32), 1), unet3d(16)),
        ("unet3d 16 and swin_unetr 12, patch 64, batch 1", 64, difference(unet3d(16), 1), swin(12)),
    ):
        yield point(f"difference, {name}", length, painter, judge, "ttp", SMALL)
    for length, batch, stored in ((24, 4, SMALL), (48, 4, WIDE), (96, 4, (192, 240, 240))):
        yield point(
            f"diffusion, default networks, patch {length}, batch {batch}", length, diffusion(batch), unet(), "ttvp", stored
        )
    yield point("diffusion, twice as wide, patch 48, batch 2", 48, diffusion(2, (64,), (32, 64, 128)), unet(), "ttvp", WIDE)


def _painting() -> Iterator[Point]:
    def point(name: str, length: int, lesions: int, painter: dict[str, Any], judge: dict[str, Any], **more: Any) -> Point:
        study = _patch(length) | {"segmenter": {"network": judge}, "synthesizers": {"made": painter}}
        study |= {"synthesis": {"lesions_per_case": lesions, "shards": 1}}
        title = f"{name}, patch {length}, {lesions} lesions a case"
        more = {"parts": "ttp", "stored": WIDE} | more
        return Point("synthesize_shard", title, study, {"fold": "0", "synthesizer": "made"}, **more)

    constant, default = {"painter": {"kind": "constant"}}, difference(GENERATOR, 1)
    for lesions in (4, 40):
        for length in (24, 96):
            yield point("constant", length, lesions, constant, unet())
            yield point("difference, default networks", length, lesions, default, unet())
    yield point("difference, unet3d 32 and unet3d 32", 96, 2, difference(unet3d(32), 1), unet3d(32))
    yield point("difference, unet3d 16 and swin_unetr 24", 64, 2, difference(unet3d(16), 1), swin(24))
    yield point("diffusion, default networks", 96, 8, diffusion(1), unet(), stored=(192, 240, 240))
    grown = {"shape": {"kind": "automaton"}, "painter": {"kind": "states"}}
    yield point("automaton", 24, 4, grown, unet())
    yield point("constant, 6,000 canvases", 24, 1, constant, unet(), parts="tp", stored=(48, 64, 64), copies=3000)


def _predictions() -> Iterator[Point]:
    def point(
        kind: str, name: str, network: dict[str, Any], length: int, stored: Shape, native: Shape, organs: int = 2
    ) -> Point:
        study = _patch(length) | {"recognition": {"network": network}}
        study |= {"organs": ["liver", "kidney", "pancreas", "lung"][:organs]}
        job = {"fold": "0", "arm": "real", "seed": "1"}
        return Point(kind, name, study, job, "te", stored, native)

    large: Shape = (200, 256, 256)
    for name, stored, native in (
        ("3.5 million voxels", (96, 192, 192), (96, 192, 192)),
        ("13 million voxels, 47 million as read", large, SCAN),
        ("13 million voxels, 134 million as read", large, (512, 512, 512)),
    ):
        yield point("predict", f"unet, patch 24, {name}", unet(), 24, stored, native)
        yield point("score_cases", name, unet(), 24, stored, native)
    yield point("predict", "unet, patch 24, four organs", unet(), 24, large, SCAN, organs=4)
    yield point("predict", "unet, patch 96", unet(), 96, large, SCAN)
    yield point("predict", "unet3d 32, patch 96, 3.5 million voxels", unet3d(32), 96, (96, 192, 192), (96, 192, 192))
    yield point("predict", "swin_unetr 24, patch 64, 1.2 million voxels", swin(24), 64, (96, 96, 128), (96, 96, 128))


def _regions() -> Iterator[Point]:
    for kind, side, width, batch, group in (
        ("acgan", 32, 16, 64, 500),
        ("dcgan", 64, 16, 64, 2000),
        ("acgan", 64, 64, 32, 500),
    ):
        steps = training(batch, steps=2, warmup=0)
        painter = {"kind": kind, "width": width, "group": group, "training": steps}
        study = {
            "task": "classification",
            "organs": ["liver"],
            "categories": ["cyst", "metastasis", "hemangioma"],
            "preset": "roi",
            "presets": {"roi": {"form": "region", "window": [-50, 200], "patch": [1, side, side]}},
            "synthesizers": {"made": {"painter": painter}},
            "synthesis": {"images_per_category": 20, "shards": 1},
            "arms": {"real": {"group": group}},
            "evaluation": {"primary": ["accuracy"], "claims": None},
            "recognition": {"network": {"name": "roi_cnn", "channels": [32, 64, 128]}, "training": steps},
        }
        title = f"{side} pixels, batch {batch}, group {group}"
        yield Point(
            "train_synthesizer", f"{kind} of width {width}, {title}", study, {"fold": "0", "synthesizer": "made"}, "tve"
        )
        if width == 16:
            yield Point("train_recognizer", f"roi_cnn, {title}", study, {"fold": "0", "arm": "real", "seed": "1"}, "tve")


def _scans() -> Iterator[Point]:
    for name, native, spacing, rule in (
        ("47 million voxels", SCAN, 1.5, {}),
        ("134 million voxels", (512, 512, 512), 1.5, {}),
        ("47 million voxels, stored at 0.8 mm", SCAN, 0.8, {}),
        ("47 million voxels, muscle by rule", SCAN, 1.5, {"muscle": "muscle"}),
        ("134 million voxels, lung by rule", (512, 512, 512), 1.5, {"lung": "lung"}),
    ):
        source = {"name": "made", "kind": "folder", "images": "*.nii.gz", "host_rule": rule}
        study = {"sources": [source], "presets": {"made": {"spacing": [spacing] * 3}}}
        yield Point("preprocess_shard", name, study, {"source": "made"}, native=native, count=2)
    for name, variants in (("1.2 million voxels", 1), ("13 million voxels, 4 variants", 4)):
        study = {"synthesizers": {"made": {"painter": {"kind": "constant"}}}}
        study |= {"synthesis": {"lesions_per_case": 4, "shards": 1, "export_variants": variants, "exports": ["nnunet"]}}
        stored = SMALL if variants == 1 else (200, 256, 256)
        yield Point("export_volumes", name, study, {"fold": "0", "synthesizer": "made"}, "tp", stored)


def _tables() -> Iterator[Point]:
    for count in (1000, 5000):
        yield Point("merge_volumes", f"{count:,} volumes", job={"source": "made"}, count=count)
        yield Point("assign_folds", f"{count:,} volumes", count=count)
    for count in (10_000, 100_000):
        study = {"synthesizers": {"made": {"painter": {"kind": "constant"}}}, "synthesis": {"lesions_per_case": 40}}
        yield Point("merge_manifests", f"{count:,} lesions", study, {"fold": "0", "synthesizer": "made"}, count=count)
    for cases in (60, 1000):
        arms = ["real", *(f"arm{number}" for number in range(1, 5))]
        study = {"arms": {arm: {} for arm in arms}, "recognition": {"arms": arms, "seeds": [1, 2]}}
        study |= {"cohort": {"folds": 3, "run_folds": None}}
        yield Point("read_scores", f"{cases:,} cases, 5 arms, 3 folds, 2 seeds", study, count=cases)
