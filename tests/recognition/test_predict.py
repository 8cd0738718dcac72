"""Predictions: which cases, on which grid, and the probability of tumor beside the classes."""

import numpy as np
import pytest

from freetumor.core.tables import FOLD_CASES, PREDICTIONS, read_table, write_table
from freetumor.preprocessing.store import read_array
from freetumor.recognition.predict import predict


@pytest.fixture(scope="module")
def predicted(study, fold, untrained, tmp_path_factory):
    output = tmp_path_factory.mktemp("predict") / "predictions.parquet"
    predict(study, "real", 0, 1, fold, untrained["segmenter"], output)
    return read_table(output, PREDICTIONS)


def test_test_and_validation_cases_are_predicted_and_told_apart(predicted, fold):
    cases = read_table(fold, FOLD_CASES).set_index("case_id")
    assert predicted["split"].tolist() == ["development", "development", "validation"]
    assert cases.loc[predicted["case_id"], "part"].tolist() == ["test", "test", "validation"]


def test_classes_and_probability_lie_on_the_native_grid_and_agree(predicted):
    for row in predicted.to_dict("records"):
        classes, tumor, label = (read_array(row[name]) for name in ("prediction", "probability", "reference"))
        assert classes.shape == tumor.shape == label.shape and classes.dtype == tumor.dtype == np.uint8
        assert (tumor[np.isin(classes, [2, 4])] >= 255 // 5).all(), "the greatest of five probabilities is at least 1/5"
        assert (np.isin(classes, [2, 4]) | (tumor < 255 * 2 / 3 + 1)).all(), "above 2/3 one of two tumors is the greatest"
        assert tumor.max() > 0 and len(np.unique(tumor)) > 3


def test_tumors_that_nobody_annotated_are_left_out_of_the_probability(study, fold, untrained, tmp_path, predicted):
    table = read_table(fold, FOLD_CASES)
    table["names"] = '{"1": "liver", "2": "liver_tumor", "3": "pancreas"}'
    write_table(table, tmp_path / "cases.parquet", FOLD_CASES)
    predict(study, "real", 0, 1, tmp_path / "cases.parquet", untrained["segmenter"], tmp_path / "predictions.parquet")
    fewer = read_table(tmp_path / "predictions.parquet", PREDICTIONS)
    for both, one in zip(predicted.to_dict("records"), fewer.to_dict("records"), strict=True):
        assert (read_array(both["prediction"]) == read_array(one["prediction"])).all()
        whole, part = (read_array(row["probability"]).astype(int) for row in (both, one))
        assert (part <= whole).all() and part.sum() < whole.sum()
