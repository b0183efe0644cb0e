"""Nodes of drit for ComfyUI: load a run, take or mix styles, translate images.

Copy this file into `ComfyUI/custom_nodes/`, install drit into ComfyUI's environment (`pip install drit`), and start
ComfyUI anew. The nodes stand under "drit". They use the node interface V3 (`comfy_api.latest`).

Images of ComfyUI are (B, H, W, 3), floats in [0, 1]. A style is a tensor (K, S).
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from comfy_api.latest import ComfyExtension, io

import drit

Model = io.Custom("DRIT_MODEL")
Style = io.Custom("DRIT_STYLE")
MAX_SEED = 10**12
MAX_STYLES = 64


@functools.lru_cache(maxsize=2)
def loaded(run: str, newest: str) -> drit.Translator:
    """A run's translator, kept while its newest checkpoint stays the same."""
    return drit.load(run)


def newest_checkpoint(run: str) -> str:
    """What changes when a training writes another checkpoint; empty where there is none."""
    latest = Path(run, "checkpoints", "latest")
    return latest.read_text(encoding="utf-8").strip() if latest.is_file() else ""


def to_model(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Images of ComfyUI (B, H, W, 3) in [0, 1] as (B, C, H, W) in [-1, 1], C 1 or 3."""
    x = images[..., :3].permute(0, 3, 1, 2).float() * 2 - 1
    if channels == 1:
        return x.mean(1, keepdim=True)
    if channels != 3:
        raise ValueError(f"This model takes images of {channels} channels; images of ComfyUI have 3.")
    return x


def from_model(image: torch.Tensor) -> torch.Tensor:
    """An output (C, H, W) in [-1, 1] as an image of ComfyUI (H, W, 3) in [0, 1]."""
    if image.shape[0] not in (1, 3):
        raise ValueError(f"This model gives images of {image.shape[0]} channels; images of ComfyUI have 3.")
    return ((image.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).expand(-1, -1, 3).contiguous()


class DritLoad(io.ComfyNode):
    """A trained run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DritLoad",
            display_name="Load drit run",
            category="drit",
            description="A run that drit train wrote.",
            inputs=[io.String.Input("run", default="runs/seasons", tooltip="run folder or checkpoint folder")],
            outputs=[Model.Output(display_name="model")],
        )

    @classmethod
    def fingerprint_inputs(cls, run: str) -> str:
        return newest_checkpoint(run)

    @classmethod
    def execute(cls, run: str) -> io.NodeOutput:
        return io.NodeOutput(loaded(run, newest_checkpoint(run)))


class DritRandomStyles(io.ComfyNode):
    """Random styles of a seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DritRandomStyles",
            display_name="Random drit styles",
            category="drit",
            inputs=[
                Model.Input("model"),
                io.String.Input("to", default="b", tooltip="domain that is translated to: a, b, or its folder's name"),
                io.Int.Input("count", default=4, min=1, max=MAX_STYLES),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=True),
            ],
            outputs=[Style.Output(display_name="styles")],
        )

    @classmethod
    def execute(cls, model: drit.Translator, to: str, count: int, seed: int) -> io.NodeOutput:
        return io.NodeOutput(model.sample(count, to, seed))


class DritStyleOf(io.ComfyNode):
    """The styles of exemplar images."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DritStyleOf",
            display_name="drit style of image",
            category="drit",
            inputs=[
                Model.Input("model"),
                io.Image.Input("images", tooltip="exemplars: images of the domain that is translated to"),
                io.String.Input("domain", default="b"),
            ],
            outputs=[Style.Output(display_name="styles")],
        )

    @classmethod
    def execute(cls, model: drit.Translator, images: torch.Tensor, domain: str) -> io.NodeOutput:
        letter = model.domain(domain)
        x = to_model(images, model.method.channels[letter])
        return io.NodeOutput(torch.cat([model.style(each, letter) for each in x]))


class DritMix(io.ComfyNode):
    """A weighted mean of two styles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DritMix",
            display_name="Mix drit styles",
            category="drit",
            inputs=[
                Style.Input("first"),
                Style.Input("second"),
                io.Float.Input("share", default=0.5, min=0.0, max=1.0, step=0.01, tooltip="of the second"),
            ],
            outputs=[Style.Output(display_name="styles")],
        )

    @classmethod
    def execute(cls, first: torch.Tensor, second: torch.Tensor, share: float) -> io.NodeOutput:
        if len(first) != len(second) and min(len(first), len(second)) != 1:
            raise ValueError(f"{len(first)} and {len(second)} styles cannot be mixed: give as many, or one.")
        return io.NodeOutput(first * (1 - share) + second * share)


class DritTranslate(io.ComfyNode):
    """Images in styles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DritTranslate",
            display_name="Translate with drit",
            category="drit",
            description="Each image in each style, image after image. Without styles: one random one of seed 0.",
            inputs=[
                Model.Input("model"),
                io.Image.Input("images"),
                io.String.Input("to", default="b", tooltip="domain that is translated to: a, b, or its folder's name"),
                Style.Input("styles", optional=True),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls, model: drit.Translator, images: torch.Tensor, to: str, styles: torch.Tensor | None = None
    ) -> io.NodeOutput:
        x = to_model(images, model.method.channels[model.source(to)])
        outputs = model.translate_many(x, to, 1 if styles is None else styles)
        return io.NodeOutput(torch.stack([from_model(output) for of_image in outputs for output in of_image]))


class DritExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [DritLoad, DritRandomStyles, DritStyleOf, DritMix, DritTranslate]


async def comfy_entrypoint() -> DritExtension:
    """Called by ComfyUI when it loads this file."""
    return DritExtension()
