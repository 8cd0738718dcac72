"""The parts of the report that describe the arms: what each trains on, and its means."""

from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.curves import added_samples
from freetumor.evaluation.tasks import TASKS
from freetumor.figures.answers import listing, percent, plain
from freetumor.figures.html import Section, folded, section, table
from freetumor.figures.style import SPLITS, metric_name, structure_name

if TYPE_CHECKING:
    import pandas as pd


def arms_section(config: Config) -> Section:
    """What each arm trains on, and what each selection chooses from."""
    header, row = DESCRIPTIONS[config.task]
    rows = [
        (name + (" (baseline)" if number == 0 else ""), *row(config, name))
        for number, name in enumerate(config.recognition.arms)
    ]
    parts = [table("What each arm trains on, beside the same real images", ("Arm", *header), rows)]
    ways = {"validation": "chosen per fold on validation cases", "test": "chosen on the test cases (optimistic)"}
    chosen = [
        (name, ways[selection.by], listing(selection.candidates)) for name, selection in config.evaluation.selections.items()
    ]
    if chosen:
        parts.append(table("Selections, which are compared like arms", ("Selection", "How", "Candidates"), chosen))
    return section("Arms", *parts)


def means_section(config: Config, arms: "pd.DataFrame", sizes: "pd.DataFrame") -> Section:
    """Means of every arm on the overall structure, and the share of lesions found by size."""
    task = TASKS[config.task]
    arms = arms[arms["metric"].isin(task.compared) & (arms["structure"] == task.overall)]
    means = [
        (row.arm, metric_name(row.metric), SPLITS.get(row.split, row.split), plain(row.mean), plain(row.sd), row.cases,
         row.patients, row.trainings, *((row.n_missed, row.n_false_alarms) if task.masks else ()))
        for row in arms.itertuples()
    ]  # fmt: skip
    header = ["Arm", "Metric", "Test cases", "Mean", "SD of trainings", "Cases", "Patients", "Trainings"]
    header += ["Missed", "False alarms"] if task.masks else []
    found = [
        (row.arm, SPLITS.get(row.split, row.split), f"{row.size_bin} mm", row.lesions, row.n_patients,
         plain(row.detected_share), f"{plain(row.ci_low)} to {plain(row.ci_high)}")
        for row in sizes.itertuples()
    ]  # fmt: skip
    bins = ("Arm", "Test cases", "Diameter", "Lesions", "Patients", f"Share {task.hit}", "Confidence interval")
    note = f"Means of {structure_name(task.overall)}. evaluation/arms.csv holds all metrics and structures."
    if task.masks:
        note += " Missed: predictions without any tumor though there is one; false alarms: the reverse."
    name = f"Lesions {task.hit} by"
    return section(
        "Further tables",
        folded("Means per arm", table(note, header, means, range(3, len(header)))),
        folded(f"{name} size", table(f"{name} diameter", bins, found, range(3, 7))),
    )


def _painting(config: Config, name: str) -> tuple[str, ...]:
    """How a segmentation's arm paints and augments."""
    arm = config.arms[name]
    painted = config.synthesizers[arm.synthesizer] if arm.synthesizer else None
    return (
        arm.synthesizer or "none",
        painted.painter.kind if painted else "–",
        painted.gate.kind if painted else "–",
        painted.mode.replace("_", " ") if painted else "–",
        arm.lesions if painted else "–",
        percent(arm.synthetic_share) if painted else "–",
        arm.augmentation,
        arm.cutmix.replace("_", " "),
    )


def _adding(config: Config, name: str) -> tuple[str, ...]:
    """What a classification's arm adds to the originals."""
    arm = config.arms[name]
    group, synthetic = added_samples(config, name)
    kind = config.synthesizers[arm.synthesizer].painter.kind if synthetic else "–"
    return f"{group:,}", arm.synthesizer if synthetic else "none", kind, f"{synthetic:,}", f"{group + synthetic:,}"


DESCRIPTIONS = {
    "segmentation": (
        ("Synthesizer", "Painter", "Gate", "Mode", "Lesions", "Painted share", "Augmentation", "Cut and join"),
        _painting,
    ),
    "classification": (
        ("Classic samples", "Synthesizer", "Painter", "Synthetic samples, all categories", "Added samples"),
        _adding,
    ),
}
