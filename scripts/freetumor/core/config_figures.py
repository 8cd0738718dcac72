"""Which figures a study has: those of its task for which it has something to show."""

from typing import TYPE_CHECKING

from .config_synthesizer import DEFECTS

if TYPE_CHECKING:
    from .config import Arm, Config

FIGURES = {  # by task, in the order of the report
    "segmentation": [
        "overview",
        "flow",
        "cohort",
        "lesions",
        "realism",
        "privacy",
        "gate",
        "training",
        "differences",
        "defects",
        "boxes",
        "seeds",
        "external",
        "scaling",
        "early",
        "sizes",
        "froc",
        "calibration",
        "failures",
    ],
    "classification": [
        "overview",
        "flow",
        "cohort",
        "samples",
        "fidelity",
        "training",
        "differences",
        "seeds",
        "external",
        "curves",
        "confusion",
        "calibration",
        "embedding",
        "sizes",
    ],
}
FROM_BANKS = ("lesions", "realism", "privacy", "gate", "samples", "fidelity")


def figures_of(config: "Config") -> list[str]:
    """The figures of a study, in order."""
    there = dict.fromkeys(FROM_BANKS, bool(config.banks)) | {
        "external": any(source.split == "external" for source in config.sources),
        "defects": shows_defects(config),
        "scaling": bool(scaled_arms(config)),
    }
    return [name for name in FIGURES[config.task] if there.get(name, True)]


def shows_defects(config: "Config") -> bool:
    """Whether an arm has a published defect that the first arm, which also has a synthesizer, has not."""
    first, *others = (config.arms[arm] for arm in config.recognition.arms)
    return first.synthesizer is not None and any(_defects(config, arm) - _defects(config, first) for arm in others)


def _defects(config: "Config", arm: "Arm") -> set[str]:
    """The published defects of an arm: of its synthesizer, and of its cut-and-join."""
    found = {"cutmix"} if arm.cutmix == "independent_axes" else set()
    if arm.synthesizer is not None:
        found |= {name for name in DEFECTS if config.synthesizers[arm.synthesizer].has(name)}
    return found


def scaled_arms(config: "Config") -> dict[str, dict[str, int]]:
    """Per synthesizer, arms on its bank with the draws per scan that they use; synthesizers with fewer than three are left out."""
    found: dict[str, dict[str, int]] = {}
    for name in config.recognition.arms:
        arm = config.arms[name]
        if config.task == "segmentation" and arm.synthesizer is not None and arm.lesions == "bank":
            most = config.synthesis.lesions_per_case
            found.setdefault(arm.synthesizer, {})[name] = min(arm.variants or most, most)
    return {name: arms for name, arms in found.items() if len(set(arms.values())) > 2}
