"""The simulations of the statistics run, and what they count is what was drawn."""

import math
import re

import numpy as np
import pytest

from benchmarks.error_rates import Rate, main, simulate, table
from benchmarks.simulations import SECTIONS

RATE = re.compile(r"(rate|seconds) \S+ \d[\d.e+-]*")


def test_rates_are_shares_of_the_simulated_studies():
    """P-values and bounds that are uniform: 5 % are rejected, and the interval holds the truth in one of two studies."""

    def study(rng):
        return {"*uniform": (rng.random(), rng.random() - 0.5, 9.0), "no test": (math.nan, -1.0, 1.0)}

    uniform, without = simulate("uniform", study, 0.0, 4000)
    assert uniform.recommended and uniform.type_one == pytest.approx(0.05, abs=0.012)
    assert uniform.coverage == pytest.approx(0.5, abs=0.03) and not uniform.kept
    assert (without.procedure, without.recommended, without.coverage) == ("no test", False, 1.0) and math.isnan(
        without.type_one
    )


def test_a_recommended_procedure_outside_its_band_is_marked():
    rates = [Rate("d", "good", True, 0.05, 0.95), Rate("d", "bad", True, 0.08, math.nan), Rate("d", "poor", False, 0.3, 0.7)]
    good, bad, poor = table(rates).splitlines()[2:]
    assert good.endswith("|  |") and bad.endswith("| outside |") and poor.endswith("| not recommended |")


def test_every_section_runs_and_the_last_lines_are_rates(capsys):
    rates = main("", ["--quick", "--studies", "2"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert all(RATE.fullmatch(line) for line in lines[-2:])
    assert {line.split()[1] for line in lines[-2:]} == {"recommended_inside", "bootstrap"}
    designs = {rate.design for rate in rates}
    assert designs == {name for section in SECTIONS.values() for name, _, _ in section()}


@pytest.mark.parametrize("section", ["lesions", "readers"])
def test_few_studies_already_tell_a_recommended_procedure_from_one_that_ignores_the_design(section):
    rates = [rate for name, study, truth in SECTIONS[section]() for rate in simulate(name, study, truth, 120)]
    recommended = [rate.type_one for rate in rates if rate.recommended and not math.isnan(rate.type_one)]
    naive = [rate.type_one for rate in rates if "pooled" in rate.procedure]
    assert 0.01 < np.mean(recommended) < 0.09 and min(naive) > 0.09
