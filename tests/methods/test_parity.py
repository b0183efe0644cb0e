"""Networks and losses agree with the official implementation's numbers (relative 1e-4 in float32; losses 1e-3)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.methods.drit.objective import DRIT
from drit.methods.drit.official import official_names
from tests.recipe import GOLD, LAYOUT, PARITY, codes, images, needs_parity, official_config, official_model, some

FORMS = ("concat", "feature")


@torch.no_grad()
def forward(form: str) -> dict[str, np.ndarray]:
    """Everything that the record holds of one forward pass, by its names."""
    model = official_model(form, torch.float32)
    x = {d: images(i, 1, 64).float() for i, d in enumerate("ab")}
    z = codes(0, 2).float()
    found: dict[str, Tensor] = {}
    content = {}
    for d in "ab":
        content[d] = model.content(x[d], d)
        found[f"content_{d}"] = content[d][:, ::8]
        mean, log_variance = model.attribute_encoder[d](x[d])
        if form == "concat":
            found[f"mean_{d}"], found[f"logvar_{d}"] = mean, log_variance
        else:
            found[f"style_{d}"] = mean
        for name, judge in (("", model.discriminator), ("2", model.random_discriminator)):
            for s, logits in enumerate(judge[d](x[d])):
                found[f"dis{d.upper()}{name}_scale{s}"] = logits
    found["b_from_a"] = model.render(model.prepare(content["a"], "b"), z, "b")
    found["a_from_b"] = model.render(model.prepare(content["b"], "a"), z, "a")
    hidden = torch.from_numpy(np.random.default_rng(300).standard_normal((2, 256, 54, 54))).float()
    found["logits"] = model.content_discriminator(hidden)
    return {name: t.numpy() for name, t in found.items()}


@pytest.mark.parametrize("form", FORMS)
def test_forward(form: str) -> None:
    """Against a few stored values of every array, and against the whole arrays where they are at hand."""
    found = forward(form)
    gold = json.loads(GOLD.read_text(encoding="utf-8"))[form]
    assert set(found) == set(gold)
    for name, values in gold.items():
        assert np.abs(np.array(some(found[name])) - values["some"]).max() < 1e-4 * values["largest"], name
    if not PARITY.is_dir():
        return
    stored = {**np.load(PARITY / f"{form}_64x64.npz"), **np.load(PARITY / f"{form}_content_discriminator_54x54.npz")}
    assert set(found) == set(stored)
    for name, array in stored.items():
        assert found[name].size == array.size
        assert np.abs(found[name].reshape(array.shape) - array).max() < 1e-4 * np.abs(array).max(), name


@needs_parity
def test_tensor_names_and_shapes_are_the_published_ones() -> None:
    layout = json.loads(LAYOUT.read_text(encoding="utf-8"))["networks"]
    for form in FORMS:
        config = official_config(form)
        with torch.device("meta"):
            state = DRIT(config, {"a": 3, "b": 3}).state_dict()
        names = official_names(config.network)
        assert {v: k for k, v in names.items()}.keys() == {(n, k) for n, ks in layout[form].items() for k in ks}
        for ours, (network, key) in names.items():
            shape = layout[form][network][key]
            assert list(state[ours].shape) == (shape[:1] if ".norm." in ours else shape)


class StoredCodes:
    """The recipe's codes in place of random numbers, in the order in which the step draws."""

    def __init__(self) -> None:
        self.drawn = 0

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        code = codes(10 + self.drawn, shape[0]).to(like.dtype)
        assert code.shape == shape
        self.drawn += 1
        return code


# Stored name (weighted) of each of our terms (unweighted).
FIRST = {
    "gan_loss_a": "domain_adversarial_a",
    "gan_loss_b": "domain_adversarial_b",
    "gan_loss_acontent": "content_adversarial_a",
    "gan_loss_bcontent": "content_adversarial_b",
    "kl_loss_za_a": "kl_a",
    "kl_loss_za_b": "kl_b",
    "kl_loss_zc_a": "content_norm_a",
    "kl_loss_zc_b": "content_norm_b",
    "l1_recon_A_loss": "cross_cycle_a",
    "l1_recon_B_loss": "cross_cycle_b",
    "l1_recon_AA_loss": "self_reconstruction_a",
    "l1_recon_BB_loss": "self_reconstruction_b",
}
SECOND = {
    "l1_recon_z_loss_a": "latent_regression_a",
    "l1_recon_z_loss_b": "latent_regression_b",
    "gan2_loss_a": "domain_adversarial_random_a",
    "gan2_loss_b": "domain_adversarial_random_b",
    "lz_AB": "mode_seeking_b",
    "lz_BA": "mode_seeking_a",
}
NETWORKS = {"enc_c": "content_encoder", "enc_a": "attribute_encoder", "gen": "generator"}


def gradient_norm(total: Tensor, module: torch.nn.Module) -> float:
    grads = torch.autograd.grad(total, list(module.parameters()), retain_graph=True, allow_unused=True)
    return float(torch.stack([g.double().square().sum() for g in grads if g is not None]).sum().sqrt())


@needs_parity
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_losses_and_gradient_norms(form: str) -> None:
    """One iteration at 216 pixels, all losses and gradients at the same, unmoved weights."""
    stored = json.loads((PARITY / f"{form}_training_losses.json").read_text())
    torch.set_num_threads(2)
    # float64, as the record: a small norm left by cancellation moves by more than 1e-3 with float32's order of sums
    model = official_model(form, torch.float64)
    batch = {"a": images(10, 2, 216), "b": images(11, 2, 216)}
    noise = StoredCodes()
    seen: dict[str, int] = {}
    batches = iter([batch] * 3)
    for update in model.updates(batches, 0, noise):  # type: ignore[arg-type]
        seen[update.name] = seen.get(update.name, 0) + 1
        weighted = {name: float(update.weights[name] * term.detach()) for name, term in update.losses.items()}
        if update.name == "discriminators":
            _check_discriminators(model, update.losses, stored)
        elif update.name == "content_discriminator":
            if seen[update.name] == 3:
                expected = stored["discriminator_losses"]["D_content"]
                assert weighted["content_adversarial"] == pytest.approx(expected, rel=1e-3)
                norm = gradient_norm(update.total(), model.content_discriminator)
                assert norm == pytest.approx(stored["discriminator_gradient_norms"]["disContent"], rel=1e-3)
                assert update.max_grad_norm == 5
        else:
            names, key = (FIRST, "first") if update.name == "generators" else (SECOND, "second")
            assert set(names.values()) == set(weighted)
            for theirs, ours in names.items():
                assert weighted[ours] == pytest.approx(stored["generator_losses"][theirs], rel=1e-3), ours
            if key == "first":
                assert float(update.total().detach()) == pytest.approx(stored["generator_losses"]["G_loss"], rel=1e-3)
            for theirs, ours in NETWORKS.items():
                if key == "second" and ours == "attribute_encoder":
                    assert ours not in update.networks
                    continue
                norm = gradient_norm(update.total(), getattr(model, ours))
                assert norm == pytest.approx(stored[f"gradient_norms_{key}_total"][theirs], rel=1e-3), ours
    assert noise.drawn == stored["codes_drawn"]
    assert seen == {"content_discriminator": 3, "discriminators": 1, "generators": 1, "generators_random": 1}


def _check_discriminators(model: DRIT, terms: dict[str, Tensor], stored: dict[str, dict[str, float]]) -> None:
    expected, norms = stored["discriminator_losses"], stored["discriminator_gradient_norms"]
    for d, letter in (("a", "A"), ("b", "B")):
        exemplar, random = terms[f"domain_adversarial_{d}"], terms[f"domain_adversarial_random_{d}"]
        assert float(exemplar.detach()) == pytest.approx(expected[f"D_{letter}"], rel=1e-3)
        both = expected[f"D_{letter}2"] + expected[f"D_{letter}2_second_random"]
        assert float(random.detach()) == pytest.approx(both, rel=1e-3)
        assert gradient_norm(exemplar, model.discriminator[d]) == pytest.approx(norms[f"dis{letter}"], rel=1e-3)
        assert gradient_norm(random, model.random_discriminator[d]) == pytest.approx(norms[f"dis{letter}2"], rel=1e-3)
