"""Gates: what is kept of what was painted.

The composed gate holds the criteria of ``criteria``, the published one the recall of a segmenter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from freetumor.core.config import Gate, Synthesizer
from freetumor.core.config_gate import Agreement

from .calibration import calibrate
from .cases import tumor_mask
from .criteria import (
    CHEAP,
    DISCRIMINATOR,
    SEARCH,
    SEGMENTER,
    Criterion,
    Evidence,
    build_criteria,
    diameter_of,
    neighborhood,
    volume_of,
    waits,
)
from .networks import BatchStatistics
from .painters import BATCH, to_batch, window_image
from .synthetic import Judging, Painted, Verdict

PUBLISHED_THRESHOLD = 0.7
NETWORKS = {SEGMENTER: "segmenter", DISCRIMINATOR: "discriminator"}


class Judge:
    """A frozen network that looks at painted patches.

    It sees them one by one on a CPU, where larger batches gain nothing and change the last bits, and if it normalizes by the
    statistics of its batch; else in batches.

    Args:
        network: segmenter or discriminator, in evaluation mode.
        window: HU interval that it sees as 0 to 1.
        device: where it lives.
    """

    def __init__(self, network: nn.Module, window: tuple[float, float], device: torch.device) -> None:
        self.network, self.window, self.device = network, window, device
        alone = device.type == "cpu" or any(isinstance(module, BatchStatistics) for module in network.modules())
        self.batch = 1 if alone else BATCH

    @torch.inference_mode()
    def look(self, painted: Sequence[Painted]) -> Iterator[np.ndarray]:
        """Logits (classes, z, y, x) in the neighborhood of each lesion."""
        for start in range(0, len(painted), self.batch):
            items = painted[start : start + self.batch]
            images = to_batch([window_image(item.image, self.window) for item in items], self.device)
            logits = self.network(images).float().cpu().numpy()
            for item, values in zip(items, logits, strict=True):
                yield values[(slice(None), *neighborhood(item.lesion))]


class OpenGate:
    """Keeps everything."""

    local = True

    def judge(self, painted: Sequence[Painted]) -> list[Verdict]:
        """Accept all."""
        return [Verdict(True) for _ in painted]


class RecallGate:
    """The published gate: more than 0.7 of the lesion is called a tumor, of any organ.

    Args:
        segmenter: the frozen segmenter.

    Reference:
        Wu et al. 2025, released code: ``|F and argmax S in tumor classes| / |F| > 0.7``.
    """

    local = False

    def __init__(self, segmenter: Judge) -> None:
        self.segmenter = segmenter

    def judge(self, painted: Sequence[Painted]) -> list[Verdict]:
        """Recall of any tumor class."""
        verdicts = []
        for item, logits in zip(painted, self.segmenter.look(painted), strict=True):
            evidence = Evidence(item, logits)
            recall = float(tumor_mask(evidence.found[evidence.lesion]).mean())
            accepted = recall > PUBLISHED_THRESHOLD
            verdicts.append(Verdict(accepted, recall, {"recall": recall}, "" if accepted else "recall"))
        return verdicts


class ComposedGate:
    """Keeps what meets every criterion.

    Criteria are asked in the order of their cost. All of one cost are measured; the dearer ones see only what is left.

    Args:
        criteria: what to ask, cheap ones first.
        judges: networks that they ask, by stage.
        likeness: of lesions among which others are ranked.
    """

    def __init__(self, criteria: Sequence[Criterion], judges: Mapping[int, Judge], likeness: float) -> None:
        self.criteria, self.judges, self.likeness = list(criteria), judges, likeness
        self.local = not any(criterion.stage in NETWORKS for criterion in criteria)

    def judge(self, painted: Sequence[Painted]) -> list[Verdict]:
        """Judge painted patches, each as if it were alone.

        Raises:
            ValueError: if a fair criterion has not been calibrated.
        """
        if any(waits(criterion) for criterion in self.criteria):
            raise ValueError("a fair gate must be calibrated before it judges")
        scores: list[dict[str, float]] = [{} for _ in painted]
        reasons = [""] * len(painted)
        for stage in (CHEAP, SEGMENTER, DISCRIMINATOR, SEARCH):
            asked = [criterion for criterion in self.criteria if criterion.stage == stage]
            left = [index for index, reason in enumerate(reasons) if not reason] if asked else []
            for index, evidence in zip(left, self._gather(stage, [painted[index] for index in left]), strict=True):
                for criterion in asked:
                    measured = criterion.measure(evidence)
                    scores[index] |= measured
                    if not reasons[index] and not criterion.passes(measured, evidence.painted.organ):
                        reasons[index] = criterion.name
        return [self._verdict(reason, found) for reason, found in zip(reasons, scores, strict=True)]

    def measure(self, painted: Sequence[Painted]) -> list[dict[str, float]]:
        """Organ, diameter and raw scores of lesions, for calibration; nothing is refused."""
        rows = [{"organ": item.organ, "diameter_mm": diameter_of(volume_of(item))} for item in painted]
        for criterion in self.criteria:
            if criterion.ranked:
                for row, evidence in zip(rows, self._gather(criterion.stage, painted), strict=True):
                    row[criterion.ranked] = criterion.measure(evidence)[criterion.ranked]
        return rows

    def calibrate(self, lesions: Literal["draws", "real"], measured: Sequence[Mapping[str, float]]) -> None:
        """Give the criteria that are fair among ``lesions`` what was measured of them."""
        reference = calibrate(measured, self.likeness)
        for criterion in self.criteria:
            if criterion.ranked and criterion.settings.fair == lesions:
                criterion.reference = reference

    def _gather(self, stage: int, painted: Sequence[Painted]) -> Iterator[Evidence]:
        if stage not in self.judges:
            yield from (Evidence(item) for item in painted)
            return
        for item, logits in zip(painted, self.judges[stage].look(painted), strict=True):
            yield Evidence(item, logits)

    def _verdict(self, reason: str, scores: Mapping[str, float]) -> Verdict:
        main = next((criterion.main for criterion in self.criteria if criterion.name == "agreement"), "")
        known = {name: float(f"{value:.6g}") for name, value in scores.items() if not np.isnan(value)}
        return Verdict(not reason, scores.get(main, float("nan")), known, reason)


class Listener:
    """A gate that keeps everything and has it measured: what lesions a synthesizer draws, before any is refused.

    Args:
        gate: the gate to be calibrated.
    """

    def __init__(self, gate: ComposedGate) -> None:
        self.gate, self.local = gate, gate.local
        self.measured: list[dict[str, float]] = []

    def judge(self, painted: Sequence[Painted]) -> list[Verdict]:
        """Measure and accept all."""
        self.measured += self.gate.measure(painted)
        return [Verdict(True) for _ in painted]


def build_gate(
    settings: Synthesizer,
    organs: Sequence[str],
    window: tuple[float, float],
    device: torch.device,
    segmenter: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    real: Sequence[Painted] = (),
) -> Judging:
    """The gate of a synthesizer. A fair one is still to be calibrated.

    Args:
        settings: of the synthesizer.
        organs: organs of the study, in order.
        window: HU interval that networks see.
        device: where they live.
        segmenter: frozen; needed if ``settings.judged``.
        discriminator: frozen; needed if ``settings.gate.asks("discriminator")``.
        real: lesions of the training cases, for bounds of the contrast and against copies.

    Raises:
        UserError: if bounds name an organ that the study does not have.
    """
    gate = settings.gate
    if gate.kind == "none":
        return OpenGate()
    networks = {SEGMENTER: segmenter, DISCRIMINATOR: discriminator}
    judges = {stage: Judge(network, window, device) for stage, network in networks.items() if network is not None}
    if settings.has("recall_gate"):
        return RecallGate(judges[SEGMENTER])
    if gate.kind == "segmenter":
        gate = Gate(kind="composed", agreement=Agreement(least=gate.threshold, fair="none"))
    return ComposedGate(build_criteria(gate, organs, real), judges, gate.likeness)
