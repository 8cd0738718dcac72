"""Predictions of a recognizer on the test cases of its fold, at native resolution."""

import json
from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.device import prepare
from freetumor.core.progress import Progress
from freetumor.core.tables import FOLD_CASES, PREDICTIONS, make_table, read_table, write_table
from freetumor.preprocessing.geometry import to_native
from freetumor.preprocessing.store import write_array
from freetumor.synthesizer.assembly import load_segmenter
from freetumor.synthesizer.cases import Case
from freetumor.synthesizer.inference import predict_volume


def predict(config: Config, arm: str, fold: int, seed: int, cases: Path, weights: Path, output: Path) -> None:
    """Predict the labeled test cases of a fold and write a table of predictions; the arrays lie beside it.

    Args:
        config: the study.
        arm: key of ``arms``.
        fold: the fold.
        seed: one of ``recognition.seeds``.
        cases: the fold table.
        weights: the trained recognizer.
        output: output table.
    """
    device = prepare(config.compute)
    table = read_table(cases, FOLD_CASES)
    table = table[(table["part"] == "test") & table["labeled"]].sort_values("case_id")
    network = load_segmenter(weights, config.recognition.network, config, device.torch)
    progress = Progress(f"predict {arm} fold {fold} seed {seed}", len(table), "case", interval=10)
    rows = []
    for _, row in table.iterrows():
        case = Case(row, config.organs, hide_tumors=False)
        preset = config.working
        probabilities = predict_volume(
            network, case.image[...], preset.window, preset.patch, config.recognition.overlap, device
        )
        native = to_native(probabilities, json.loads(row["crop"]), json.loads(row["native_shape"]))
        path = output.parent / "predictions" / f"{row['case_id']}.b2nd"
        write_array(path, native)
        facts = {
            name: row[name]
            for name in ("case_id", "patient_id", "source", "domain", "split", "names", "labeled", "native_spacing")
        }
        rows.append({**facts, "fold": fold, "arm": arm, "seed": seed, "prediction": str(path), "reference": row["native"]})
        progress.advance()
    write_table(make_table(rows, PREDICTIONS), output, PREDICTIONS)
