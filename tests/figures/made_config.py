"""The configuration of a small, made-up study, and where the inputs of its figures lie."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.labels import class_codes

ORGANS = ["liver", "pancreas", "kidney"]
ARMS = ["real", "constant_contrast", "freetumor", "freetumor_as_published"]
SHAPE, SPACING = (44, 104, 136), (3.0, 2.0, 2.0)
NAMES = {code: name for name, code in class_codes(ORGANS).items() if code}
SPLITS = ("development", "external")
INPUTS = {  # of every figure of the study: the arguments of its script
    "overview": ("cases", "scores"),
    "flow": ("cases", "quarantine"),
    "cohort": ("cases", "quarantine", "examples"),
    "lesions": ("lesions:lesion_sheet",),
    "privacy": ("distances",),
    "gate": ("table:gate",),
    "training": ("histories",),
    "differences": ("scores", "lesions", "summary"),
    "defects": ("summary",),
    "boxes": ("scores",),
    "seeds": ("scores", "lesions"),
    "external": ("scores", "lesions"),
    "scaling": ("scores",),
    "early": ("scores", "lesions"),
    "sizes": ("sizes",),
    "froc": ("froc", "patients"),
    "calibration": ("calibration",),
    "failures": ("failures",),
}
MODULES = {"seeds": "trainings", "external": "trainings", "flow": "flow_chart"}


def make_config(**changes) -> Config:
    """The configuration of the study."""
    base = {
        "study": "demo",
        "title": "Do painted tumors help?",
        "organs": ORGANS,
        "preset": "toy",
        "presets": {"toy": {"spacing": SPACING, "window": (-150, 250), "patch": (32, 32, 32)}},
        "sources": [
            {"name": "phantom_a", "kind": "phantom"},
            {"name": "phantom_b", "kind": "phantom", "split": "external", "domain": "b"},
            {"name": "hospital", "kind": "folder", "root": "/secret/place", "images": "*.nii.gz"},
        ],
        "synthesizers": {
            "constant_contrast": {"painter": {"kind": "constant"}},
            "freetumor": {"painter": {"kind": "difference"}, "gate": {"kind": "segmenter", "threshold": 0.5}},
            "published": {
                "painter": {"kind": "difference"},
                "gate": {"kind": "segmenter", "threshold": 0.7},
                "mode": "as_published",
            },
        },
        "arms": {
            "real": {},
            "constant_contrast": {"synthesizer": "constant_contrast"},
            "freetumor": {"synthesizer": "freetumor"},
            "freetumor_as_published": {"synthesizer": "published"},
        },
        "recognition": {"arms": ARMS},
        "evaluation": {"resamples": 100},
    }
    return Config.model_validate(base | changes)


@dataclass
class Study:
    """Where the inputs of the figures lie."""

    folder: Path
    config: Config
    paths: dict[str, Path] = field(default_factory=dict)
    manifests: list[Path] = field(default_factory=list)
    histories: list[Path] = field(default_factory=list)

    def inputs(self, name: str) -> dict[str, list[Path]]:
        """The arguments of a figure's script, without the configuration and the output."""
        named = (argument.partition(":") for argument in INPUTS[name])
        return {flag: self.histories if flag == "histories" else [self.paths[key or flag]] for flag, _, key in named}

    def draw(self, name: str, output: Path) -> None:
        """Draw a figure by the library."""
        plot = getattr(importlib.import_module(f"freetumor.figures.{MODULES.get(name, name)}"), f"plot_{name}")
        paths = [found if flag == "histories" else found[0] for flag, found in self.inputs(name).items()]
        plot(self.config, *paths, output)
