"""One evaluation at work: each input is encoded and translated once, each output seen once by each feature network."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial

import numpy as np
import torch
from torch import Tensor

from drit.data.images import from_tensor
from drit.engines.base import Engine
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.features.shelf import DomainClassifier, Shelf, open_network
from drit.evaluation.features.trained import predicted_classes
from drit.evaluation.gathered import SHOWN, Direction, Strip
from drit.evaluation.images import Images, RealFeatures
from drit.evaluation.metrics import perceptual
from drit.evaluation.metrics.distances import nearest_distance
from drit.evaluation.metrics.grid import grid_energy, relative_grid_energy
from drit.evaluation.progress import Advance
from drit.evaluation.protocol import Protocol
from drit.inference.translator import Translator
from drit.methods.base import OTHER
from drit.probes.linear import pooled
from drit.probes.style import visible_features
from drit.storage import Places

_ENCODED = 64  # outputs that pass through a feature network together


class Session:
    """What one evaluation works with: the model, the images, the protocol, and the feature networks by target domain.

    chosen: the inputs, and real images, of each domain. features: for distances of samples. perceptual: for LPIPS.
    classifiers: for content accuracy. used: all of these networks by their use, as in the result. aligned: images of
    one name show one scene. compared: how many outputs of an input are compared with real images.
    """

    def __init__(
        self,
        translator: Translator,
        protocol: Protocol,
        chosen: Mapping[str, Images],
        shelf: Shelf,
        real: RealFeatures,
        warnings: list[str],
    ) -> None:
        """warnings: what the result must say beside its numbers; more are added here."""
        self.translator = translator
        self.protocol = protocol
        self.chosen = chosen
        self.shelf = shelf
        self.real = real
        self.warnings = warnings
        self.device = translator.device
        self.capabilities = translator.method.capabilities
        self.styles = protocol.styles if self.capabilities.style_dim else 1
        self.aligned = chosen["a"].same_scenes_as(chosen["b"])
        if self.aligned and self.wants("truth") and not translator.method.capabilities.paired:
            warnings.append(
                "Images of a and b have the same names: the distance to the true image takes those of one name for "
                "one scene. Where they are not, choose metrics without 'truth'."
            )
        self.compared = min(protocol.distribution_styles, self.styles)
        self.used: dict[str, FeatureNetwork] = {}
        self.features: dict[str, FeatureNetwork] = {}
        self.perceptual: dict[str, FeatureNetwork] = {}
        self.classifiers: dict[str, DomainClassifier] = {}

    def wants(self, *metrics: str) -> bool:
        """Whether the protocol measures any of these metrics."""
        return any(m in self.protocol.metrics for m in metrics)

    def open_networks(self, targets: tuple[str, ...], specs: Mapping[str, str]) -> None:
        """Open, and where needed train, all networks; mistakes show before the work begins.

        specs: of "features" and "perceptual", NAME[:FILE[,HEADS]]; the protocol's names without.
        """
        spec = specs.get("features") or self.protocol.features
        if self.wants("fid", "kid", "energy", "ndb", "jsd"):
            self.features = open_network(spec, self.shelf, targets)
        if self.wants("lpips"):
            other = specs.get("perceptual") or self.protocol.perceptual
            shared = not other and bool(self.features)
            self.perceptual = self.features if shared else open_network(other or spec, self.shelf, targets)
        if self.wants("content"):
            for target in targets:
                if self.shelf.training[target].labels is None or self.chosen[OTHER[target]].labels is None:
                    self.warnings.append(f"Content accuracy, to {target}: not measured, the images have no labels.")
                else:
                    self.classifiers[target] = self.shelf.classifier(target)
        for use, networks in (("features", self.features), ("perceptual", self.perceptual)):
            for target, network in networks.items():
                self.used[f"{use}_{target}"] = network.to(self.device)
        for target, classifier in self.classifiers.items():
            self.used[f"probe_{target}"] = classifier.network.to(self.device)

    def gather(self, target: str, advance: Advance, engine: Engine, places: Places) -> Direction:
        """Translate all inputs to `target`, in batches, and keep what the numbers need.

        advance: called with the number of inputs done since the last call. engine: who does the batches. places: where
        images were copied from.
        """
        inputs, gathered = self.chosen[OTHER[target]], Direction()
        n = len(inputs)
        real_vectors = real_grid = None
        if self.features:
            real_vectors = self.real.vectors(self.features[target], self.chosen[target], self.device)
        if self.wants("grid"):
            real_grid = self.real.grid(self.chosen[target], self.device)
        work = _Batches(self, target, self._sampled_styles(n, target), real_vectors, real_grid)
        size = self.translator.batch_size(inputs.crop, inputs.crop)
        batches = [(begin, min(begin + size, n)) for begin in range(0, n, size)]
        with closing(engine.run(places.anywhere(work), batches, self.device.type == "cuda")) as results:
            for (begin, end), (of_batch, skipped) in zip(batches, results, strict=True):
                gathered.extend(of_batch)
                for domain, unreadable in skipped.items():
                    self.chosen[domain].set.skip(unreadable)
                advance(end - begin)
        return gathered

    def _sampled_styles(self, n: int, target: str) -> Tensor:
        """Styles (n, K, S) of the protocol's seed for n inputs; (n, 1, 0) for a method without."""
        if not self.capabilities.style_dim:
            return torch.zeros(n, 1, 0)
        generator = torch.Generator().manual_seed(self.protocol.seed)
        return self.translator.method.sample_style(n * self.styles, target, generator).unflatten(0, (n, -1))


class _Batches:
    """Translates batches of inputs to one domain, and measures the outputs: what a batch gives depends on it alone."""

    def __init__(
        self,
        session: Session,
        target: str,
        styles: Tensor,
        real_vectors: np.ndarray | None,
        real_grid: Tensor | None,
    ) -> None:
        """styles: (n, K, S) of all n inputs. real_vectors, real_grid: features (m, D) of the m real images of the
        target domain, and what `grid_energy` gives for them (m, 2), where they are compared with."""
        self.translator = session.translator
        self.protocol = session.protocol
        self.capabilities = session.capabilities
        self.target = target
        self.source = OTHER[target]
        self.chosen = session.chosen
        self.inputs = session.chosen[self.source]
        self.true_images = session.chosen[target] if session.aligned and session.wants("truth") else None
        self.styles = styles
        self.compared = session.compared
        self.network = session.features.get(target)
        self.perceptual_network = session.perceptual.get(target)
        self.classifier = session.classifiers.get(target)
        self.real_vectors = real_vectors
        self.real_grid = real_grid

    def __call__(self, batch: tuple[int, int]) -> tuple[Direction, dict[str, dict[str, str]]]:
        """What is kept of inputs begin .. end - 1; of each domain, the images that turned out unreadable, and why."""
        before = {domain: images.set.skipped for domain, images in self.chosen.items()}
        try:
            for images in self.chosen.values():
                images.set.skipped = {}
            return self._measured(*batch), {domain: images.set.skipped for domain, images in self.chosen.items()}
        finally:
            for domain, images in self.chosen.items():
                images.set.skipped = before[domain]

    def _measured(self, begin: int, end: int) -> Direction:
        target, styles, gathered = self.target, self.styles[begin:end], Direction()
        x = self.inputs.batch(begin, end).to(self.translator.device)
        codes = self.translator.encode_batch(x, self.source)
        outputs = self.translator.decode_batch(codes, styles, target, (x.shape[2], x.shape[3]))
        if self.real_grid is not None:
            gathered.grid.append(self._grid(outputs[:, : self.compared], self.real_grid))
        if self._wants("visible") and outputs.shape[1] > 1:
            seen = visible_features(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2])
            gathered.visible.append((seen.cpu(), styles))
        if self._wants("disentanglement"):
            gathered.codes.append(pooled(codes).double().cpu().numpy())
        if self.true_images is not None:
            true_images = self.true_images.batch(begin, end, like=self.inputs).to(outputs)
            gathered.truth.append(_levels(outputs, true_images[:, None]).min(1))
        rows_at_once = max(1, _ENCODED // outputs.shape[1])
        for part in range(0, end - begin, rows_at_once):
            rows = slice(part, part + rows_at_once)
            self._compare(x[rows], outputs[rows], gathered)
        measured = min(end, self.protocol.reconstructions) - begin
        if measured > 0:
            self._reconstruct(x[:measured], codes[:measured], outputs[:measured, 0], styles[:measured, 0], gathered)
        return gathered

    def _wants(self, metric: str) -> bool:
        return metric in self.protocol.metrics

    def _grid(self, outputs: Tensor, real: Tensor) -> np.ndarray:
        """Energy of a grid in outputs (N, d, C, H, W) relative to real images (m, 2): (N, 2), means over the d."""
        energy = relative_grid_energy(grid_energy(outputs.flatten(0, 1)), real)
        return energy.unflatten(0, outputs.shape[:2]).mean(1).double().cpu().numpy()

    def _compare(self, x: Tensor, outputs: Tensor, gathered: Direction) -> None:
        """Features of outputs (N, K, C, H, W) of inputs x (N, C', H, W), each output encoded once."""
        n, k = outputs.shape[:2]
        network, perceptual_network, real_vectors = self.network, self.perceptual_network, self.real_vectors

        def strip(i: int, js: range) -> Strip:
            return [from_tensor(x[i]), *(from_tensor(outputs[i, j]) for j in js)]

        of_all = perceptual_network(outputs.flatten(0, 1)) if perceptual_network is not None else None
        if network is not None and real_vectors is not None:
            if network is perceptual_network and of_all is not None:
                vectors = of_all.vectors.unflatten(0, (n, k))[:, : self.compared]
            else:
                vectors = network(outputs[:, : self.compared].flatten(0, 1)).vectors.unflatten(0, (n, -1))
            rows = vectors.double().cpu().numpy()
            gathered.vectors.append(rows)
            for i in range(n):
                to_nearest = nearest_distance(rows[i], real_vectors)
                for j in range(self.compared):
                    gathered.by_realism.add(float(to_nearest[j]), partial(strip, i, range(j, j + 1)))
        if of_all is not None and perceptual_network is not None:
            points = perceptual.feature_points(of_all.maps, perceptual_network.heads).unflatten(0, (n, k))
            of_inputs = perceptual.feature_points(perceptual_network(x).maps, perceptual_network.heads)
            to_input = perceptual.distance(points, of_inputs[:, None]).mean(1)
            gathered.to_input.append(to_input.double().cpu().numpy())
            if k > 1:
                diversity = perceptual.mean_pairwise_distance(points).double().cpu().numpy()
                gathered.diversity.append(diversity)
                for i in range(n):
                    gathered.by_diversity.add(float(diversity[i]), partial(strip, i, range(min(k, SHOWN))))
        if self.classifier is not None:
            compared = outputs[:, : self.compared].flatten(0, 1)
            classes = predicted_classes(self.classifier.classifier, compared)
            gathered.classes.append(classes.reshape(n, -1))

    def _reconstruct(self, x: Tensor, codes: Tensor, fake: Tensor, styles: Tensor, gathered: Direction) -> None:
        """Reconstructions of inputs x, from their content codes and from the first output of each.

        x: (N, C, H, W). codes: their content codes (N, ...). fake: their first outputs (N, C', H, W), in styles (N, S).
        """
        translator, source, target, able = self.translator, self.source, self.target, self.capabilities
        size = (x.shape[2], x.shape[3])
        if self._wants("reconstruction") and source in able.directions and able.knows_own_style:
            own_styles = translator.style_batch(x, source)[:, None]  # (N, 1, S)
            if translator.method.shared_content:
                recon = translator.decode_batch(codes, own_styles, source, size)[:, 0]
                gathered.reconstruction.append(_levels(recon, x))
            codes_of_fake = translator.encode_batch(fake, target)
            cycle = translator.decode_batch(codes_of_fake, own_styles, source, size)[:, 0]
            gathered.cycle.append(_levels(cycle, x))
        if self._wants("style") and able.exemplar and able.style_dim:
            recovered = translator.style_batch(fake, target).cpu()
            gathered.style.append((recovered - styles).abs().mean(1).double().numpy())


def _levels(images: Tensor, x: Tensor) -> np.ndarray:
    """Mean absolute difference of each image (..., C, H, W) from that of x, in levels of 255."""
    return (127.5 * (images - x).abs().mean((-3, -2, -1))).double().cpu().numpy()
