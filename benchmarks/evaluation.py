"""Measure the processor time of an evaluation, relative to the translations that it measures.

    python -m benchmarks.evaluation {domains,alexnet} SIZE [INPUTS]

The networks have the published sizes. Each input has ten styles, and everything is measured that the protocol
`standard` measures of outputs. Work done once for a domain is left out, since it does not grow with the number of
inputs: training a feature network, real images, resampling. The feature networks have random weights, which cost the
same.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.worker import CHANNELS, paper, random_sets
from drit.engines.base import OneProcess
from drit.evaluation.features.alexnet import AlexNet
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.features.shelf import Shelf
from drit.evaluation.features.trained import DomainNetwork
from drit.evaluation.images import Images, RealFeatures
from drit.evaluation.protocol import Protocol
from drit.evaluation.session import Session
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
from drit.storage import Places

BODIES = {"domains": DomainNetwork, "alexnet": AlexNet}


def measure(name: str, size: int, inputs: int) -> dict[str, float]:
    """Processor seconds of one thread for each output: translating alone, evaluating, and the ratio of the two."""
    torch.set_num_threads(1)
    config = paper(size, 1)
    translator = Translator(DRIT(config, CHANNELS), {})
    protocol = replace(Protocol(), count=inputs, reconstructions=max(1, inputs // 10))  # a tenth, as in `standard`
    data = replace(config.data, resize=0, crop=size)
    chosen = {d: Images(domain, size, 0, 0) for d, domain in random_sets(CHANNELS, size, inputs, data).items()}
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder), chosen, protocol, print)
        session = Session(translator, protocol, chosen, shelf, RealFeatures(), [])
        network = FeatureNetwork(name, BODIES[name](), 3, {"sha256": ""})
        session.features = session.perceptual = {"b": network}
        session.gather("b", lambda done: None, OneProcess(), Places())  # warms up; encodes the real images
        times: dict[str, list[float]] = {"alone": [], "whole": []}
        for _ in range(3):
            began = time.process_time()
            translate(translator, chosen["a"], protocol.styles)
            between = time.process_time()
            session.gather("b", lambda done: None, OneProcess(), Places())
            times["alone"].append(between - began)
            times["whole"].append(time.process_time() - between)
    alone, whole = (float(np.median(t)) / (inputs * protocol.styles) for t in times.values())
    return {"translating": alone, "evaluating": whole, "ratio": whole / alone}


def translate(translator: Translator, inputs: Images, styles: int) -> None:
    for x in inputs.batches(translator.batch_size(inputs.crop, inputs.crop)):
        codes = translator.encode_batch(x, "a")
        z = translator.method.sample_style(len(x) * styles, "b", torch.Generator()).unflatten(0, (len(x), styles))
        translator.decode_batch(codes, z, "b", (x.shape[2], x.shape[3]))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int([*sys.argv[3:], "8"][0]))))
