"""Results are tensors as any other, and the caller's arithmetic stays its own between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import drit
from drit.inference.translator import Translator

X = torch.linspace(-1, 1, 18 * 22).reshape(1, 18, 22)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def translator(run: Path, request: pytest.FixtureRequest) -> Translator:
    return drit.load(run, device="cpu", precision=request.param, threads=1)


RESULTS: dict[str, Callable[[Translator], Tensor]] = {
    "translate": lambda t: t.translate(X, "b", styles=3)[1],
    "outputs": lambda t: list(t.outputs(X, t.sample(2, "b"), "b"))[1],
    "render": lambda t: next(t.render(t.content(X, "a"), t.sample(2, "b"), "b")),
    "content": lambda t: t.content(X, "a"),
    "style": lambda t: t.style(X.repeat(3, 1, 1), "b"),
    "sample": lambda t: t.sample(2, "b"),
    "interpolate": lambda t: t.interpolate(t.sample(2, "b"), 3),
    "batch": lambda t: t.batch(X[None].repeat(2, 1, 1, 1), t.sample(4, "b"), "b"),
    "encode_batch": lambda t: t.encode_batch(X[None], "a"),
    "style_batch": lambda t: t.style_batch(X[None], "a"),
    "decode_batch": lambda t: t.decode_batch(t.encode_batch(X[None], "a"), t.sample(2, "b")[None], "b", (18, 22)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_take_part_in_gradients_and_change_in_place(translator: Translator, name: str) -> None:
    result = RESULTS[name](translator)
    assert not result.is_inference() and not result.requires_grad
    gain = torch.tensor(2.0, requires_grad=True)
    expected = float(result.float().sum())
    (result * gain).float().sum().backward()
    assert gain.grad is not None and float(gain.grad) == pytest.approx(expected, rel=1e-2, abs=1e-2)
    result.mul_(gain)  # in place, with something that gradients are taken of
    assert result.requires_grad


def test_an_output_changed_leaves_the_others(translator: Translator) -> None:
    first, second = translator.translate(X, "b", styles=2)
    before = second.clone()
    first.zero_()
    assert torch.equal(second, before)


def test_between_outputs_the_caller_computes_as_before(translator: Translator) -> None:
    for _ in translator.outputs(X, translator.sample(2, "b"), "b"):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
    for _ in translator.render(translator.content(X, "a"), translator.sample(2, "b"), "b"):
        assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
