"""The table of the fidelity of synthetic images; apart from what fills it, which needs networks."""

from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema

FIDELITY = Schema(
    "fidelity of synthetic images",
    {
        "fold": INTEGER,
        "synthesizer": TEXT,
        "category": TEXT,
        "measure": TEXT,
        "value": NUMBER,  # of synthetic images
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "reference": NUMBER,  # of real images
        "reference_low": NUMBER,
        "reference_high": NUMBER,
        "n_real": INTEGER,
        "n_synthetic": INTEGER,
    },
)
