"""Which arms a figure shows that has no room for all."""

from freetumor.core.config import Config
from freetumor.evaluation.curves import added_samples


def highlighted(config: Config) -> list[str]:
    """The baseline, the arm with fewest and the one with most added samples, and the selections."""
    baseline, *others = config.recognition.arms

    def added(arm: str) -> tuple[int, int]:
        group, synthetic = added_samples(config, arm)
        return synthetic, group

    ends = [min(others, key=added), max(others, key=added)] if others else []
    return list(dict.fromkeys([baseline, *ends, *config.evaluation.selections]))
