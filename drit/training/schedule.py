"""Learning rates over a run: a pure function of the iteration, so that resuming needs no state."""

from __future__ import annotations


def rate_factor(step: int, steps: int, warmup: int, decay_from: float, halve_every: int = 0) -> float:
    """Factor on every learning rate at iteration `step` (from 0) of `steps`.

    Rises linearly over `warmup` iterations, stays at 1, then falls linearly from `decay_from * steps` to 0 at `steps`;
    with `halve_every`, it also is halved after each so many iterations.
    """
    rise = min(1.0, (step + 1) / (warmup + 1))
    start = decay_from * steps
    fall = 1.0 if step < start or steps <= start else (steps - step) / (steps - start)
    times_halved = step // halve_every if halve_every else 0
    return rise * max(0.0, fall) * 0.5**times_halved
