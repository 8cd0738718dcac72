"""The benchmark of scoring runs, and its volumes hold what it says."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.scoring import main, write_case
from freetumor.preprocessing.store import read_array


def test_times_are_those_of_the_volumes(capsys):
    found = main(["--volumes", "1", "--shape", "20", "40", "40"])
    printed = dict(line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("time "))
    assert printed.keys() == found.keys() and all(float(value) > 0 for value in printed.values())
    assert found["score_volume"] >= found["read_volume"] == pytest.approx(found["floor_share"] * found["score_volume"])


def test_a_tumor_is_missed_and_false_alarms_have_a_probability(tmp_path):
    row = write_case(tmp_path, 0, (40, 60, 60))
    prediction, reference, probability = (read_array(row[name]) for name in ("prediction", "reference", "probability"))
    lesions, count = ndimage.label(reference == 2)
    assert count >= 2 and set(np.unique(reference)) == set(np.unique(prediction)) == {0, 1, 2}
    alarms, _ = ndimage.label(prediction == 2)
    assert any(not (lesions[alarms == number] > 0).any() for number in range(1, alarms.max() + 1))
    assert (probability[prediction == 2] > 60).mean() > 0.9 and probability[0].max() < 26
