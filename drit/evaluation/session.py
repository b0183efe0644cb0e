"""One evaluation at work: each input is encoded and translated once, each output seen once by each feature network.

What is kept of an image are its feature vectors and distances, and the few that the page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drit.data.images import from_tensor
from drit.evaluation import intervals as numbers
from drit.evaluation.features import network as features
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.features.shelf import Learned, Shelf, held_out_accuracy, open_network
from drit.evaluation.images import Images, RealFeatures
from drit.evaluation.metrics import distances, perceptual
from drit.evaluation.protocol import Protocol
from drit.inference.translator import Translator
from drit.methods.base import OTHER
from drit.probes.linear import guessed_domain, pooled

SHOWN = 8  # images of each kind on the page
_ENCODED = 64  # outputs that pass through a feature network together

Step = Callable[[int], None]


@dataclass
class Shown:
    """The extremes of a stream of images by a score: the `SHOWN` least and greatest, each a strip of pixels."""

    least: list[tuple[float, list[np.ndarray]]] = field(default_factory=list)
    greatest: list[tuple[float, list[np.ndarray]]] = field(default_factory=list)

    def add(self, score: float, strip: Callable[[], list[np.ndarray]]) -> None:
        """Take note of a strip, which is only made when it is kept."""
        made: list[np.ndarray] | None = None
        for kept, sign in ((self.least, 1), (self.greatest, -1)):
            if len(kept) == SHOWN and sign * score >= sign * kept[-1][0]:
                continue
            made = made or strip()
            kept.append((score, made))
            kept.sort(key=lambda item: sign * item[0])
            del kept[SHOWN:]


@dataclass
class Direction:
    """What was gathered of the translations to one domain; a row for each input."""

    vectors: list[np.ndarray] = field(default_factory=list)  # (N, d, D) each
    read: list[np.ndarray] = field(default_factory=list)  # (N, d): class index that the probe reads
    diversity: list[np.ndarray] = field(default_factory=list)
    to_input: list[np.ndarray] = field(default_factory=list)
    recon: list[np.ndarray] = field(default_factory=list)
    cycle: list[np.ndarray] = field(default_factory=list)
    style: list[np.ndarray] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)  # pooled content codes of the inputs
    truth: list[np.ndarray] = field(default_factory=list)  # of the output that is nearest to the true image
    by_realism: Shown = field(default_factory=Shown)
    by_diversity: Shown = field(default_factory=Shown)


class Session:
    """One evaluation at work."""

    def __init__(
        self,
        translator: Translator,
        protocol: Protocol,
        chosen: Mapping[str, Images],
        shelf: Shelf,
        real: RealFeatures,
        warnings: list[str],
    ) -> None:
        self.translator = translator
        self.protocol = protocol
        self.chosen = chosen
        self.shelf = shelf
        self.real = real
        self.warnings = warnings
        self.device = translator.device
        self.capabilities = translator.method.capabilities
        self.styles = protocol.styles if self.capabilities.style_dim else 1
        self.aligned = chosen["a"].shows_what(chosen["b"])
        if self.aligned and self.wants("truth") and not translator.method.capabilities.paired:
            warnings.append(
                "Images of a and b have the same names: the distance to the true image takes those of one name for "
                "one scene. Where they are not, choose metrics without 'truth'."
            )
        self.compared = min(protocol.distribution_styles, self.styles)
        self.used: dict[str, FeatureNetwork] = {}  # by use, as in the result
        self.features: dict[str, FeatureNetwork] = {}
        self.perceptual: dict[str, FeatureNetwork] = {}
        self._probes: dict[str, Learned] = {}

    def wants(self, *metrics: str) -> bool:
        return any(m in self.protocol.metrics for m in metrics)

    def open_networks(self, targets: tuple[str, ...], specs: Mapping[str, str]) -> None:
        """Open, and where needed train, everything that will be asked; mistakes show before the work begins."""
        spec = specs.get("features") or self.protocol.features
        if self.wants("fid", "kid", "ndb", "jsd"):
            self.features = open_network(spec, self.shelf, targets)
        if self.wants("lpips"):
            other = specs.get("perceptual") or self.protocol.perceptual
            shared = not other and bool(self.features)
            self.perceptual = self.features if shared else open_network(other or spec, self.shelf, targets)
        if self.wants("content"):
            for target in targets:
                if self.shelf.training[target].labels is None or self.chosen[OTHER[target]].labels is None:
                    self.warnings.append(f"Content kept, to {target}: not measured, the images have no labels.")
                else:
                    self._probes[target] = self.shelf.probe(target)
        for use, found in (("features", self.features), ("perceptual", self.perceptual)):
            for target, network in found.items():
                self.used[f"{use}_{target}"] = network.to(self.device)
        for target, learned in self._probes.items():
            self.used[f"probe_{target}"] = learned.network.to(self.device)

    # Outputs

    def gather(self, target: str, progress: Step) -> Direction:
        """Translate all inputs to `target`, in batches, and keep what the numbers need."""
        p, source, found = self.protocol, OTHER[target], Direction()
        inputs = self.chosen[source]
        generator = torch.Generator().manual_seed(p.seed)
        n = len(inputs)
        if self.capabilities.style_dim:
            styles = self.translator.method.sample_style(n * self.styles, target, generator).unflatten(0, (n, -1))
        else:
            styles = torch.zeros(n, 1, 0)
        reals = None
        if self.features:
            reals = self.real.vectors(self.features[target], self.chosen[target], self.device)
        size = self.translator.batch_size(inputs.crop, inputs.crop)
        for begin in range(0, n, size):
            end = min(begin + size, n)
            x = inputs.batch(begin, end).to(self.device)
            codes = self.translator.encode_batch(x, source)
            outputs = self.translator.decode_batch(codes, styles[begin:end], target, (x.shape[2], x.shape[3]))
            if self.wants("disentanglement"):
                found.codes.append(pooled(codes).double().cpu().numpy())
            if self.wants("truth") and self.aligned:
                true = self.chosen[target].batch(begin, end, like=inputs).to(outputs)
                found.truth.append(_levels(outputs, true[:, None]).min(1))
            for part in range(0, end - begin, max(1, _ENCODED // self.styles)):
                rows = slice(part, part + max(1, _ENCODED // self.styles))
                self._compare(target, x[rows], outputs[rows], reals, found)
            measured = min(end, p.reconstructions) - begin
            if measured > 0:
                self._reconstruct(
                    target,
                    x[:measured],
                    codes[:measured],
                    outputs[:measured, 0],
                    styles[begin:end][:measured, 0],
                    found,
                )
            progress(end - begin)
        return found

    def _compare(self, target: str, x: Tensor, outputs: Tensor, reals: np.ndarray | None, found: Direction) -> None:
        """Features of outputs (N, K, C, H, W) of inputs x, each output encoded once."""
        n, k = outputs.shape[:2]
        network, other = self.features.get(target), self.perceptual.get(target)
        every = outputs.flatten(0, 1)

        def strip(i: int, js: range) -> list[np.ndarray]:
            return [from_tensor(x[i]), *(from_tensor(outputs[i, j]) for j in js)]

        made = other(every) if other is not None else None
        if network is not None and reals is not None:
            if network is other and made is not None:
                vectors = made.vectors.unflatten(0, (n, k))[:, : self.compared]
            else:
                vectors = network(outputs[:, : self.compared].flatten(0, 1)).vectors.unflatten(0, (n, -1))
            rows = vectors.double().cpu().numpy()
            found.vectors.append(rows)
            for i in range(n):
                far = distances.nearest_distance(rows[i], reals)
                for j in range(self.compared):
                    found.by_realism.add(float(far[j]), partial(strip, i, range(j, j + 1)))
        if made is not None and other is not None:
            points = perceptual.unit(made.maps, other.heads).unflatten(0, (n, k))
            own = perceptual.unit(other(x).maps, other.heads)
            found.to_input.append(perceptual.between(points, own[:, None]).mean(1).double().cpu().numpy())
            if k > 1:
                spread = perceptual.pairwise(points).double().cpu().numpy()
                found.diversity.append(spread)
                for i in range(n):
                    found.by_diversity.add(float(spread[i]), partial(strip, i, range(min(k, SHOWN))))
        if target in self._probes:
            read = features.read_labels(self._probes[target].probe, outputs[:, : self.compared].flatten(0, 1))
            found.read.append(read.reshape(n, -1))

    def _reconstruct(
        self, target: str, x: Tensor, codes: Tensor, fake: Tensor, styles: Tensor, found: Direction
    ) -> None:
        """Reconstructions of inputs x, from their content codes and from the first output of each."""
        translator, source, able = self.translator, OTHER[target], self.capabilities
        size = (x.shape[2], x.shape[3])
        if self.wants("reconstruction") and source in able.directions and able.knows_own_style:
            own = translator.style_batch(x, source)
            if translator.method.shared_content:
                recon = translator.decode_batch(codes, own[:, None], source, size)[:, 0]
                found.recon.append(_levels(recon, x))
            again = translator.encode_batch(fake, target)
            found.cycle.append(_levels(translator.decode_batch(again, own[:, None], source, size)[:, 0], x))
        if self.wants("style") and able.exemplar and able.style_dim:
            recovered = translator.style_batch(fake, target).cpu()
            found.style.append((recovered - styles).abs().mean(1).double().numpy())

    # Numbers

    def summary(self, target: str, found: Direction) -> dict[str, Any]:
        """Every number of one direction; null for one that does not exist for the method or these images."""
        results: dict[str, Any] = {}
        if self.wants("fid", "kid", "ndb", "jsd"):
            results |= self._distributions(target, np.concatenate(found.vectors))
        network = self.perceptual.get(target)
        if self.wants("lpips") and network is not None:
            results["lpips_diversity"] = self._mean(found.diversity, network)
            real = self.real.pairs(network, self.chosen[target], self.device)
            if results["lpips_diversity"] is not None:
                results["lpips_diversity"]["real_images"] = numbers.rounded(real.mean())
            results["lpips_to_input"] = self._mean(found.to_input, network)
        if self.wants("reconstruction"):
            results["self_reconstruction"] = self._mean(found.recon)
            results["cross_cycle"] = self._mean(found.cycle)
        if self.wants("style"):
            results["style_error"] = self._mean(found.style)
        if self.wants("content"):
            results["content_kept"] = self._content(target, found)
        if self.wants("truth"):
            results["truth"] = self._mean(found.truth)
        return results

    def _mean(self, parts: list[np.ndarray], network: FeatureNetwork | None = None) -> dict[str, Any] | None:
        return numbers.mean(parts, self.protocol, network) if parts else None

    def _distributions(self, target: str, vectors: np.ndarray) -> dict[str, Any]:
        """Fréchet distance, KID, NDB and JSD of outputs (n, d, D) against the real images of the target domain."""
        p, network = self.protocol, self.features[target]
        real = self.real.vectors(network, self.chosen[target], self.device)
        n, d, dim = vectors.shape
        made = vectors.reshape(n * d, dim)
        results: dict[str, Any] = {}
        if "fid" in p.metrics:
            results["fid"] = None
            if min(len(real), n * d) > dim:
                results["fid"] = numbers.frechet(made, real, d, p, network)
            else:
                self.warnings.append(
                    f"Fréchet distance, to {target}: left out. {n * d} outputs and {len(real)} real images are too "
                    f"few for {dim} features: at least {dim + 1} of each. With fewer, the covariances are singular and "
                    "the distance is too large, even for equal distributions, by an amount that depends on the count. "
                    "KID has no such bias."
                )
        if "kid" in p.metrics:
            results["kid"] = numbers.kid(made, real, d, p, network)
        if self.wants("ndb", "jsd"):
            found = numbers.bins(made, real, d, p, network)
            if not found:
                self.warnings.append(
                    f"NDB and JSD, to {target}: left out. {len(real)} real images are too few: at least 20, 10 a bin."
                )
            results |= {m: found.get(m) for m in ("ndb", "jsd") if m in p.metrics}
        return results

    def _content(self, target: str, found: Direction) -> dict[str, Any] | None:
        labels = self.chosen[OTHER[target]].labels
        if target not in self._probes or labels is None:
            return None
        learned = self._probes[target]
        wanted = learned.indices(labels)
        known = wanted >= 0
        if not known.all():
            missing = ", ".join(map(str, np.unique(labels[~known]).tolist()))
            self.warnings.append(
                f"Content kept, to {target}: the real images of {target} lack the classes {missing}; "
                f"{int((~known).sum())} inputs of these are left out."
            )
        if not known.any():
            return None
        right = (np.concatenate(found.read)[known] == wanted[known][:, None]).mean(1)
        same = self.chosen[target].set.fingerprint() == self.shelf.training[target].set.fingerprint()
        real = None if same else held_out_accuracy(learned, self.chosen[target])
        return numbers.mean([right], self.protocol, learned.network) | {"real_images": numbers.rounded(real)}

    def disentanglement(self, gathered: Mapping[str, Direction]) -> dict[str, Any] | None:
        """How often a linear probe guesses the domain from the pooled content code; one half is the goal."""
        codes = {OTHER[target]: np.concatenate(found.codes) for target, found in gathered.items()}
        if not self.translator.method.shared_content or len(codes) < 2 or codes["a"].shape[1] != codes["b"].shape[1]:
            self.warnings.append(
                "Disentanglement: not measured, the method has no content code common to both domains."
            )
            return None
        count = min(map(len, codes.values()))
        right = guessed_domain(codes["a"][:count], codes["b"][:count], self.protocol.seed)
        return numbers.mean([right], self.protocol)


def _levels(made: Tensor, x: Tensor) -> np.ndarray:
    """Mean absolute difference of each image (..., C, H, W), in levels of 255."""
    return (127.5 * (made - x).abs().mean((-3, -2, -1))).double().cpu().numpy()
