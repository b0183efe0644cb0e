"""A training that is killed at any moment resumes, loses at most what was not saved, and ends with the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.crash import EVERY

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")


def crash(*words: object) -> dict[str, Any]:
    """Run the harness in a process of its own: it forks, and tests run beside threads."""
    command = [sys.executable, "-m", "tests.training.crash", *map(str, words)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(result: dict[str, Any], kills: int) -> None:
    assert (result["kills"], result["while_saving"]) == (kills, kills // 2)
    assert result["most_lost"] <= EVERY == result["between_checkpoints"]


def test_a_few_kills() -> None:
    result = crash("--kills", 3, "--points", 2, "--seed", 1)
    check(result, 3)
    assert result["points"]["kills"] == 2 < result["points"]["calls_of_a_save"]


@pytest.mark.slow
def test_two_hundred_kills() -> None:
    """Half of them while saving, and one before every system call of a save."""
    result = crash("--kills", 200, "--points", 0)
    check(result, 200)
    assert result["most_lost"] == EVERY
    assert result["points"]["kills"] == result["points"]["calls_of_a_save"] >= 15
