"""Linear probes of codes that hold a domain, or hold none."""

from __future__ import annotations

import numpy as np
import pytest

from drit.probes.linear import domain_probe_correct


def test_a_linear_probe_guesses_what_is_there() -> None:
    """Equal codes: chance. Shifted ones: known. Labels of the asked fold never help: noise stays at chance."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200, 30))
    assert domain_probe_correct(a, b, 0).mean() == pytest.approx(0.5, abs=0.08)
    assert domain_probe_correct(a, b + 2, 0).mean() > 0.99
    assert len(domain_probe_correct(a[:3], b[:3], 0)) == 6
