"""The figure of the gate says where it has nothing to show."""

import numpy as np
import pandas as pd

from freetumor.core.tables import write_table
from freetumor.evaluation.gate import gate_numbers
from freetumor.evaluation.gate_table import GATE
from freetumor.figures import style
from freetumor.figures.gate import plot_gate
from tests.evaluation.test_gate import DRAWS


def test_contrasts_that_were_not_recorded_are_not_taken_for_accepted(study, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(style, "say_empty", lambda axes, text: said.append(text))
    draws = pd.DataFrame(
        [row | ({"contrast_hu": np.nan} if row["outcome"] == "refused" else {}) for row in DRAWS.to_dict("records")]
    )
    numbers = gate_numbers(draws, 0.95).fillna({"outcome": "", "group": "", "draws": 0}).astype({"draws": int})
    write_table(numbers, tmp_path / "gate.csv", GATE)
    plot_gate(study.config, tmp_path / "gate.csv", tmp_path / "gate.png")
    assert len(said) == 1
    assert "not on record" in said[0]
