"""`--int8`: convolutions of content and prepare in 8 bits, and what is lost by it.

Weights have a scale for each output channel. Maps have one scale each, which images of the training show: the range of
each map over some of them (ONNX Runtime's static quantisation). The loss is measured on others.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from torch import Tensor

from drit.data.folders import open_domain
from drit.errors import DataError, UsageError
from drit.evaluation.images import Images
from drit.exporting.check import Runner
from drit.exporting.graphs import Part
from drit.inference.translator import Translator

IMAGES = 24  # that are read; two of three show the ranges, the others the loss
STYLES = 2  # of each image, in which the loss is measured


def training_images(translator: Translator, source: str) -> Tensor:
    """Up to `IMAGES` images of a domain, as training sees them: (N, C, H, W) in [-1, 1].

    Raises UsageError where the images of the run are not there any more.
    """
    method = translator.method
    data = method.settings.data
    try:
        domain = open_domain(data.sources()[source], data, source)
        found = Images(domain, data.crop, IMAGES, seed=0)
        images = found.batch(0, len(found))
    except (DataError, KeyError) as error:
        raise UsageError(
            f"--int8 reads images of the run's domain {source}, to see the ranges of values: {error} Put them back, or "
            "leave --int8 out."
        ) from error
    side = max(method.min_side, data.crop // method.stride * method.stride)
    places = torch.arange(side) % data.crop
    return images[:, :, places][:, :, :, places]


def quantised(part: Part, images: Tensor) -> Part:
    """The graph with convolutions in 8 bits. images: (N, C, H, W) in [-1, 1], which show the ranges of its maps."""
    if not any(node.op_type == "Conv" for node in part.model.graph.node):
        raise UsageError("--int8: the graph `content` of this method has no convolutions. Leave --int8 out.")
    with tempfile.TemporaryDirectory() as name, _silent():
        before, after = Path(name) / "float.onnx", Path(name) / "int8.onnx"
        onnx.save(part.model, before)
        quantization.quantize_static(
            before,
            after,
            _Reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return replace(part, model=onnx.load(after))


def loss(before: Part, after: Part, render: Part, images: Tensor, styles: Tensor) -> float:
    """Mean absolute difference of outputs, of 255. images: (N, C, H, W); styles: (K, S), in which each is rendered."""
    run = [Runner(p.model.SerializeToString(), torch.get_num_threads()) for p in (before, after, render)]
    differences = []
    for image in images.split(1):
        outputs = [run[2](**content(image=image.numpy()), styles=styles.numpy())["images"] for content in run[:2]]
        differences.append(float(np.abs(outputs[0] - outputs[1]).mean()) * 255 / 2)
    return float(np.mean(differences))


class _Reader(quantization.CalibrationDataReader):
    """Images one by one, as the runtime asks for them."""

    def __init__(self, images: Tensor) -> None:
        self._images = iter(images.split(1))

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image.contiguous().numpy()}


@contextmanager
def _silent() -> Iterator[None]:
    """The library advises to prepare the graph first, which these graphs do not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
