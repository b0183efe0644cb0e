"""Random input (tests/fuzz.py): errors for people, or nothing. Few inputs here, many in the slow test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import Fuzz

FEW, MANY = 12, 400  # inputs of each target
NAMES = (
    *("images", "arrays", "settings", "flags", "checkpoints", "weight_headers", "records", "reports"),
    *("lines_and_styles", "states", "shards", "labels", "requests"),
)


@pytest.fixture(scope="module")
def fuzz(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Fuzz:
    return Fuzz(run, tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", NAMES)
def test_a_few_inputs(name: str, fuzz: Fuzz) -> None:
    target = fuzz.targets().get(name)
    if target is None:
        pytest.skip("the extra 'serve' is not installed")
    assert fuzz.attack(target, FEW, 1) >= FEW


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_inputs(name: str, fuzz: Fuzz) -> None:
    target = fuzz.targets().get(name)
    if target is None:
        pytest.skip("the extra 'serve' is not installed")
    assert fuzz.attack(target, MANY, 2) >= MANY


def test_what_a_target_lets_through_fails(fuzz: Fuzz) -> None:
    """A target that raises anything else than an error for people is found."""
    import hypothesis

    @hypothesis.given(hypothesis.strategies.integers())
    def broken(value: int) -> None:
        if value > 5:
            raise KeyError(value)

    with pytest.raises(KeyError):
        fuzz.attack(broken, 200, 0)
