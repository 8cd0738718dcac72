"""Compare every arm with the baseline: differences, intervals, tests, and the correction for many of them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import LESIONS, SCORES, SUMMARY, make_table, read_table, write_table
from freetumor.evaluation.arms import ARMS, describe_arms
from freetumor.evaluation.checks import check_lesions, check_scores
from freetumor.evaluation.effects import patient_effects
from freetumor.evaluation.metric_names import BETTER, EARLY, SPECIFICITY
from freetumor.evaluation.pairing import DEVELOPMENT, Block, cross, left_out, patient_mean, pooled_ratio, reported
from freetumor.evaluation.sizes import SIZES, sensitivity_by_size
from freetumor.evaluation.statistics.crossed import Estimate, random_effects, ratio_blocks
from freetumor.evaluation.statistics.multiplicity import bonferroni, holm
from freetumor.evaluation.tasks import OVERALL, TASKS

if TYPE_CHECKING:
    import pandas as pd

PRIMARY, SECONDARY = "primary", "secondary"


def analyze(
    config: Config,
    scores_path: str | Path,
    lesions_path: str | Path,
    summary_output: str | Path,
    sizes_output: str | Path,
    arms_output: str | Path,
) -> "pd.DataFrame":
    """Write all tables of the study's comparison.

    Args:
        config: the study; the first of ``recognition.arms`` is the baseline.
        scores_path: merged scores.
        lesions_path: merged reference lesions.
        summary_output: one row per metric, structure, split and arm, against the baseline.
        sizes_output: share of detected lesions by size.
        arms_output: mean of every metric for every arm.

    Returns:
        The summary.

    Raises:
        UserError: if an arm has no scores, a row is there twice, a value is outside the range of its metric, or a primary
            metric is not one that is compared.
    """
    scores, lesions = reported(read_table(scores_path, SCORES)), reported(read_table(lesions_path, LESIONS))
    check_scores(scores, scores_path)
    check_lesions(lesions, lesions_path)
    present = set(scores["arm"])
    for arm in config.compared:
        if arm not in present:
            raise UserError(f"{scores_path}: no scores of arm '{arm}', which recognition.arms or evaluation.selections names")
    summary = compare(config, scores, lesions)
    write_table(summary, summary_output, SUMMARY)
    write_table(sensitivity_by_size(config, lesions), sizes_output, SIZES)
    write_table(describe_arms(config, scores, lesions), arms_output, ARMS)
    return summary


def compare(config: Config, scores: "pd.DataFrame", lesions: "pd.DataFrame") -> "pd.DataFrame":
    """Compare every arm and selection with the first arm, for every structure, split and metric of the task that has values.

    Cases, lesions and trainings that one of two arms lacks are left out of their comparison, and ``note`` says how many.

    The family that is corrected (Holm) holds the metrics of ``evaluation.primary`` for all arms, on the overall structure of
    the task and the development split. All other rows are secondary and have no adjusted p-value.

    Returns:
        Rows of the summary table.
    """
    task = TASKS[config.task]
    unknown = [metric for metric in config.evaluation.primary if metric not in task.compared]
    if unknown:
        raise UserError(f"evaluation.primary: '{unknown[0]}' is not compared; compared are {', '.join(task.compared)}")
    baseline, *arms = config.compared
    rows = []
    for metric, structure, split, frame in _frames(config, scores, lesions):
        for arm in arms:
            rng = generator(config.seed, "sign flip", metric, structure, split, arm)
            row = compare_pair(frame, metric, arm, baseline, config.evaluation.confidence, config.evaluation.resamples, rng)
            if row is not None:
                primary = metric in config.evaluation.primary and structure == task.overall and split == DEVELOPMENT
                labels = {"structure": structure, "split": split, "family": PRIMARY if primary else SECONDARY}
                rows.append(row | labels | {"p_adjusted": math.nan})
    summary = make_table(rows, SUMMARY)
    family = summary["family"] == PRIMARY
    summary.loc[family, "p_adjusted"] = holm(summary.loc[family, "p"].to_numpy())
    summary.loc[family, "p_published"] = bonferroni(summary.loc[family, "p_published"].to_numpy())
    summary.loc[~family, "p_published"] = math.nan
    return summary


def compare_pair(
    frame: "pd.DataFrame",
    metric: str,
    arm: str,
    baseline: str,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Compare two arms in one metric.

    Args:
        frame: rows of one metric, structure and split; scores, or reference lesions for ``sensitivity_early``.
        metric: its name.
        arm: the arm of interest.
        baseline: the arm it is compared with.
        confidence: level of the interval.
        resamples: of the permutation test, where it is not exact.
        rng: where their randomness comes from.

    Returns:
        Columns of the summary table that follow from these rows, ``p_published`` before its correction; None if no unit was
        scored in both arms.
    """
    column, unit = ("detected", ("case_id", "lesion")) if metric == EARLY else ("value", ("case_id",))
    blocks = cross(frame, [arm, baseline], column, unit)
    if not blocks:
        return None
    estimate = _estimate(blocks, metric, arm, baseline, confidence)
    average = pooled_ratio if metric == EARLY else patient_mean
    return {
        "metric": metric,
        "arm": arm,
        "baseline": baseline,
        "n": int(sum(block.counts.sum() for block in blocks)),
        "patients": sum(len(block.counts) for block in blocks),
        "trainings": sum(block.trainings for block in blocks),
        "mean": average(blocks, arm),
        "mean_baseline": average(blocks, baseline),
        "difference": estimate.difference,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "p": estimate.p,
        "test": estimate.test + ("; lesions clustered by patient" if metric == EARLY else ""),
        "better": BETTER[metric],
        "note": left_out(frame, [arm, baseline], blocks, unit),
        **patient_effects(blocks, metric, arm, baseline, confidence, resamples, rng),
    }


def format_summary(summary: "pd.DataFrame") -> str:
    """The comparisons in the primary metrics on the overall structure as plain text, and the specificity beside them."""
    shown = summary[summary["structure"].isin(OVERALL)]
    if shown.empty:
        return "No comparison: one arm only, or no annotated case was scored."
    declared = set(shown.loc[shown["family"] == PRIMARY, "metric"])
    if declared:
        shown = shown[shown["metric"].isin(declared | {SPECIFICITY})]
    lines = [("arm", "metric", "split", "n", "baseline", "arm mean", "difference", "interval", "p", "p (Holm)")]
    for row in shown.itertuples():
        interval = "-" if math.isnan(row.ci_low) else f"{row.ci_low:+.3f} to {row.ci_high:+.3f}"
        numbers = f"{row.mean_baseline:.3f}", f"{row.mean:.3f}", f"{row.difference:+.3f}", interval
        lines.append((row.arm, row.metric, row.split, str(row.n), *numbers, _p_text(row.p), _p_text(row.p_adjusted)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "-" * len(max(text, key=len)))
    tests = sorted(set(shown["test"]))
    lower = sorted(set(shown.loc[shown["better"] == "lower", "metric"]))
    lesions = f", for {EARLY} lesions" if EARLY in set(shown["metric"]) else ""
    notes = [f"Against '{shown['baseline'].iloc[0]}'; n counts cases{lesions}."]
    notes += [f"Lower is better: {', '.join(lower)}."] if lower else []
    notes += ["Tests: " + " | ".join(tests) + "."]
    notes += [f"{row.arm}, {row.metric}, {row.split}: {row.note}." for row in shown.itertuples() if row.note]
    notes += ["Other metrics and structures are in the summary table."]
    return "\n".join([*text, *notes])


def _frames(config: Config, scores: "pd.DataFrame", lesions: "pd.DataFrame") -> Iterator[tuple[str, str, str, "pd.DataFrame"]]:
    """Every metric, structure and split, with its rows."""
    task = TASKS[config.task]
    early = lesions[lesions["diameter_mm"] <= config.evaluation.early_mm]
    splits = sorted(set(scores["split"]), key=lambda split: (split != DEVELOPMENT, split))
    by_score = dict(list(scores.groupby(["metric", "structure", "split"])))
    by_lesion = dict(list(early.groupby(["structure", "split"])))
    for split in splits:
        for structure in task.structures(config):
            for metric in task.compared:
                frame = by_lesion.get((structure, split)) if metric == EARLY else by_score.get((metric, structure, split))
                if frame is not None:
                    yield metric, structure, split, frame


def _estimate(blocks: list[Block], metric: str, arm: str, baseline: str, confidence: float) -> Estimate:
    """Difference of means over patients, or of a share of lesions."""
    if metric != EARLY:
        return random_effects([block.means(arm) - block.means(baseline) for block in blocks], confidence)
    totals: list[np.ndarray] = [block.totals[arm] - block.totals[baseline] for block in blocks]
    return random_effects(ratio_blocks(totals, [block.counts for block in blocks]), confidence)


def _p_text(p: float) -> str:
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def print_study(config: Config, results: Path) -> None:
    """Print the comparisons of a finished study and the path of its report.

    Raises:
        UserError: if the study has no summary yet.
    """
    folder = results / config.study
    print(f"\n{config.title or config.study}\n")
    print(format_summary(read_table(folder / "evaluation" / "summary.csv", SUMMARY)))
    print(f"\nReport: {folder / 'report.html'}")
