"""The table of what became of each draw; apart from what fills it, which needs the manifests and knows the gates."""

from freetumor.core.config import Config
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema

ACCEPTED = "accepted"
IN_USE = "in_use"
GATE = Schema(
    "outcomes of draws",
    {
        "synthesizer": TEXT,
        "panel": TEXT,
        "group": TEXT,
        "outcome": TEXT,
        "threshold": NUMBER,
        "draws": INTEGER,
        "share": NUMBER,
        "low": NUMBER,
        "high": NUMBER,
    },
)


def size_classes(config: Config, name: str) -> dict[str, float]:
    """Size classes of a synthesizer; of all of them for a name that the study does not know."""
    known = [config.synthesizers[name]] if name in config.synthesizers else config.synthesizers.values()
    return {size: radius for synthesizer in known for size, radius in synthesizer.shape.radius.items()}
