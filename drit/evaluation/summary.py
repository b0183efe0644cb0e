"""The numbers of one evaluation, from what its session gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from drit.evaluation import intervals
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.gathered import Direction
from drit.evaluation.metrics.grid import PERIODS
from drit.evaluation.session import Session
from drit.methods.base import OTHER
from drit.probes.linear import domain_probe_correct
from drit.probes.style import visible_style


def direction_numbers(session: Session, target: str, gathered: Direction) -> dict[str, Any]:
    """Every number of one direction, by the name it has in a result.

    None stands for one that does not exist for the method or these images.
    """
    numbers: dict[str, Any] = {}
    if session.wants("fid", "kid", "energy", "ndb", "jsd"):
        numbers |= _distances(session, target, np.concatenate(gathered.vectors))
    if session.wants("grid"):
        numbers["grid_energy"] = _grid_energy(session, np.concatenate(gathered.grid))
    network = session.perceptual.get(target)
    if session.wants("lpips") and network is not None:
        numbers["lpips_diversity"] = _mean(session, gathered.diversity, network)
        real_pairs = session.real.pairs(network, session.chosen[target], session.device)
        if numbers["lpips_diversity"] is not None:
            numbers["lpips_diversity"]["real_images"] = intervals.rounded(real_pairs.mean())
        numbers["lpips_to_input"] = _mean(session, gathered.to_input, network)
    if session.wants("reconstruction"):
        numbers["self_reconstruction"] = _mean(session, gathered.reconstruction)
        numbers["cross_cycle"] = _mean(session, gathered.cycle)
    if session.wants("style"):
        numbers["style_error"] = _mean(session, gathered.style)
    if session.wants("visible"):
        numbers["visible_style"] = None
        if gathered.visible:
            seen, styles = (torch.cat(parts) for parts in zip(*gathered.visible, strict=True))
            numbers["visible_style"] = _mean(session, [visible_style(seen, styles).numpy()])
    if session.wants("content"):
        numbers["content_kept"] = _content_accuracy(session, target, gathered)
    if session.wants("truth"):
        numbers["truth"] = _mean(session, gathered.truth)
    return numbers


def domain_probe_number(session: Session, directions: Mapping[str, Direction]) -> dict[str, Any] | None:
    """Domain probe accuracy: how often a linear probe tells the domain from the pooled content code.

    One half is the goal. None, with a warning, where the domains have no content code in common.
    """
    codes = {OTHER[target]: np.concatenate(gathered.codes) for target, gathered in directions.items()}
    if not session.translator.method.shared_content or len(codes) < 2 or codes["a"].shape[1] != codes["b"].shape[1]:
        session.warnings.append(
            "Domain probe accuracy: not measured, the method has no content code common to both domains."
        )
        return None
    count = min(map(len, codes.values()))
    correct = domain_probe_correct(codes["a"][:count], codes["b"][:count], session.protocol.seed)
    return intervals.mean_number([correct], session.protocol)


def _mean(session: Session, parts: list[np.ndarray], network: FeatureNetwork | None = None) -> dict[str, Any] | None:
    """The mean over inputs of values (n,) in parts; None where there are none."""
    return intervals.mean_number(parts, session.protocol, network) if parts else None


def _grid_energy(session: Session, energy: np.ndarray) -> dict[str, Any]:
    """Energy of outputs (n, 2) at the periods of upsampling, relative to real images: that of the period with more."""
    worst = int(energy.mean(0).argmax())
    return intervals.mean_number([energy[:, worst]], session.protocol) | {"period": PERIODS[worst]}


def _distances(session: Session, target: str, vectors: np.ndarray) -> dict[str, Any]:
    """Distances of samples, NDB and JSD, of outputs (n, d, D) against the real images of the target domain."""
    p, network = session.protocol, session.features[target]
    real = session.real.vectors(network, session.chosen[target], session.device)
    n, d, dim = vectors.shape
    outputs = vectors.reshape(n * d, dim)
    numbers: dict[str, Any] = {}
    if "fid" in p.metrics:
        numbers["fid"] = None
        if min(len(real), n * d) > dim:
            numbers["fid"] = intervals.frechet_number(outputs, real, d, p, network)
        else:
            session.warnings.append(
                f"Fréchet distance, to {target}: left out. {n * d} outputs and {len(real)} real images are too "
                f"few for {dim} features: at least {dim + 1} of each. With fewer, the covariances are singular and "
                "the distance is too large, even for equal distributions, by an amount that depends on the count. "
                "KID has no such bias."
            )
    if "kid" in p.metrics:
        numbers["kid"] = intervals.kid_number(outputs, real, d, p, network)
    if "energy" in p.metrics:
        numbers["energy"] = intervals.energy_number(outputs, real, d, p, network)
    if session.wants("ndb", "jsd"):
        of_bins = intervals.bin_numbers(outputs, real, d, p, network)
        if not of_bins:
            session.warnings.append(
                f"NDB and JSD, to {target}: left out. {len(real)} real images are too few: at least 20, 10 a bin."
            )
        numbers |= {m: of_bins.get(m) for m in ("ndb", "jsd") if m in p.metrics}
    return numbers


def _content_accuracy(session: Session, target: str, gathered: Direction) -> dict[str, Any] | None:
    """Share of outputs that a classifier of the target's real images gives the class of their input."""
    labels = session.chosen[OTHER[target]].labels
    if target not in session.classifiers or labels is None:
        return None
    classifier = session.classifiers[target]
    true_classes = classifier.indices(labels)
    known = true_classes >= 0
    if not known.all():
        missing = ", ".join(map(str, np.unique(labels[~known]).tolist()))
        session.warnings.append(
            f"Content accuracy, to {target}: the real images of {target} lack the classes {missing}; "
            f"{int((~known).sum())} inputs of these are left out."
        )
    if not known.any():
        return None
    correct = (np.concatenate(gathered.classes)[known] == true_classes[known][:, None]).mean(1)
    chosen, training = session.chosen[target], session.shelf.training[target]
    trained_on_these = chosen.set.fingerprint() == training.set.fingerprint()
    of_real = None if trained_on_these else classifier.accuracy(chosen)
    number = intervals.mean_number([correct], session.protocol, classifier.network)
    return number | {"real_images": intervals.rounded(of_real)}
