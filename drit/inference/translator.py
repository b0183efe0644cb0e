"""Using a trained model: everything goes through one class, `Translator`.

An image is encoded to its content code once, the generator's part that no style changes runs once (`prepare`), and
only the rest runs for each style (`render`), in chunks of styles so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from drit.data.folders import source_name
from drit.data.images import convert_channels, from_image, from_tensor, from_unit, to_tensor
from drit.errors import UsageError
from drit.methods.base import Method, Prepared
from drit.methods.registry import able, method_class, no_styles
from drit.runs import checkpoint as files
from drit.runs.record import settings_of_meta
from drit.runtime import autocast, choose, choose_device, cores, keep_freed_memory
from drit.settings.schema import MAX_SEED

# Pixels rendered at once: a chunk's largest map (about the width of the content encoder's first layer) stays near the
# size of the cache; more at once are slower.
CHUNK_PIXELS = 1 << 17


class Translator:
    """A trained model for use. `Translator.load(run)` or `drit.load(run)`.

    Images go in as PIL images, numpy arrays (H, W, C) or (H, W) of uint8, uint16 or float in [0, 1], or tensors
    (C, H, W) in [-1, 1]; what comes out is of the same kind (PIL images hold 16 bits in grey alone). Any size: images
    are padded by reflection to what the networks need and results cropped back.
    """

    def __init__(
        self, method: Method, names: dict[str, str], device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> None:
        """names: the folder's name of each domain, which may be used in place of "a" and "b"."""
        self.device = choose_device(device)
        if threads or self.device.type == "cpu":
            torch.set_num_threads(threads or cores())
            keep_freed_memory()
        self.dtype = choose(precision, self.device)
        self.method = method.eval().requires_grad_(False)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.names = names

    @classmethod
    def load(
        cls, run: str | Path, device: str = "auto", precision: str = "auto", average: bool = True, threads: int = 0
    ) -> Translator:
        """The newest checkpoint of a run, or a checkpoint folder. `average`: use the moving average if there is one.

        Raises CheckpointError for what is not a run, is truncated, or belongs to another method.
        """
        found = files.find(Path(run))
        meta = files.load_meta(found)
        settings = settings_of_meta(found, meta)
        with torch.device("meta"):  # no time spent on initial weights that are replaced at once
            method = method_class(meta["method"])(settings, meta["channels"])
        weights, averaged = files.load_weights(found)
        if average:
            weights |= averaged
        own = method.state_dict()
        files.check_fit(own, weights, found)
        method.load_state_dict(weights, assign=True)
        names = {d: source_name(path) for d, path in settings.data.sources().items()}
        return cls(method, names, device, precision, threads)

    # Domains and styles

    def domain(self, name: str) -> str:
        """The domain's letter that a name (or the name of its folder) means. Raises UsageError if there is none."""
        if name in self.method.channels:
            return name
        found = [d for d, folder in self.names.items() if folder == name]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{d} ({folder})" for d, folder in self.names.items())
        raise UsageError(f"There is no domain '{name}'. Domains of this run: {known}.")

    def source(self, to: str) -> str:
        """The domain that translation to `to` starts from (where one encoder serves several domains, one of them).

        Raises UsageError if the method does not go there.
        """
        self._translates()
        target = self.domain(to)
        directions = self.method.capabilities.directions
        if target not in directions:
            raise UsageError(f"This method does not translate to {target}: only to {', '.join(directions)}.")
        return next(d for d in self.method.channels if d != target)

    def sample(self, count: int, to: str, seed: int = 0) -> Tensor:
        """`count` random styles of domain `to`: (count, S). The first k of a seed do not depend on `count`."""
        self._needs_styles()
        if count < 1:
            raise UsageError(f"{count} styles were asked for: at least 1 is needed.")
        if int(seed) != seed or not 0 <= seed <= MAX_SEED:
            raise UsageError(f"The seed {seed} is no whole number from 0 to {MAX_SEED}.")
        target = self.domain(to)
        rows = []
        for i in range(count):
            generator = torch.Generator().manual_seed(int(seed) * 1_000_003 + i)
            rows.append(self.method.sample_style(1, target, generator))
        return torch.cat(rows)

    @torch.inference_mode()
    def style(self, image: Any, domain: str) -> Tensor:
        """The style of an exemplar image of `domain`: the posterior mean (1, S), the same each time."""
        self._needs_styles()
        if not self.method.capabilities.exemplar:
            names = able(lambda c: c.exemplar)
            raise UsageError(
                f"This method cannot take a style from an image. Use random styles; {', '.join(names)} can."
            )
        d = self.domain(domain)
        with autocast(self.dtype, self.device):
            return self.method.style(self._padded(self._tensor(image, d)), d).float().cpu()

    def _translates(self) -> None:
        if not self.method.capabilities.directions:
            raise UsageError(
                "This model draws images from codes and translates none: drit sample RUN --out DIR draws them."
            )

    def _needs_styles(self) -> None:
        self._translates()
        if not self.method.capabilities.style_dim:
            raise UsageError(no_styles())

    @staticmethod
    def interpolate(styles: Tensor, count: int) -> Tensor:
        """`count` styles on the straight lines from each style to the next, ends included: (K, S) -> (count, S)."""
        if len(styles) < 2 or count < 2:
            raise UsageError("Interpolation needs at least two styles and two steps.")
        places = torch.linspace(0, len(styles) - 1, count)
        left = places.floor().clamp(max=len(styles) - 2).long()
        share = (places - left)[:, None]
        return styles[left] * (1 - share) + styles[left + 1] * share

    # Images

    @torch.inference_mode()
    def content(self, image: Any, domain: str) -> Tensor:
        """Content code of one image (1, C, h, w), of the image as padded."""
        self._translates()
        d = self.domain(domain)
        with autocast(self.dtype, self.device):
            return self.method.content(self._padded(self._tensor(image, d)), d)

    def render(self, content: Tensor, styles: Tensor, to: str) -> Iterator[Tensor]:
        """Images (k, C, H, W) in [-1, 1] on the CPU, in chunks of styles, from one content code and (K, S) styles."""
        target = self.domain(to)
        size = self.method.stride**2 * content.shape[-2] * content.shape[-1]
        chunk = max(1, CHUNK_PIXELS // size)
        with torch.inference_mode(), autocast(self.dtype, self.device):
            prepared: Prepared = self.method.prepare(content, target)
            for part in styles.to(self.device).split(chunk):
                yield self.method.render(prepared, part, target).float().cpu()

    @torch.inference_mode()
    def encode_batch(self, x: Tensor, domain: str) -> Tensor:
        """Content codes (N, C, h, w) of images (N, C, H, W) in [-1, 1], as padded."""
        with autocast(self.dtype, self.device):
            return self.method.content(self._padded(x.to(self.device)), domain)

    @torch.inference_mode()
    def style_batch(self, x: Tensor, domain: str) -> Tensor:
        """Styles (N, S) of images (N, C, H, W) in [-1, 1], S 0 for a method without; float32, on the device."""
        with autocast(self.dtype, self.device):
            return self.method.own_style(self._padded(x.to(self.device)), domain).float()

    @torch.inference_mode()
    def decode_batch(self, content: Tensor, styles: Tensor, to: str, size: tuple[int, int]) -> Tensor:
        """Images of domain `to` (N, K, C, H, W), float32 on the device, from the content codes of N images and K
        styles of each (N, K, S), cropped to `size`."""
        n = len(styles)
        chunk = max(1, CHUNK_PIXELS // (n * self.method.stride**2 * content.shape[-2] * content.shape[-1]))
        made = []
        with autocast(self.dtype, self.device):
            prepared: Prepared = self.method.prepare(content, to)
            for part in styles.to(self.device).transpose(0, 1).split(chunk):  # style j belongs to image j mod N
                rendered = self.method.render(prepared, part.flatten(0, 1), to).float()
                made.append(rendered[:, :, : size[0], : size[1]].unflatten(0, (len(part), n)))
        return torch.cat(made).transpose(0, 1)

    def outputs(self, image: Any, styles: Tensor, to: str) -> Iterator[Tensor]:
        """Translations of one image, one tensor (C, H, W) in [-1, 1] for each style, of the image's own size."""
        source = self.source(to)
        x = self._tensor(image, source)
        h, w = x.shape[-2:]
        with torch.inference_mode(), autocast(self.dtype, self.device):
            content = self.method.content(self._padded(x), source)
        for chunk in self.render(content, styles, to):
            yield from chunk[:, :, :h, :w]

    def batch(self, x: Tensor, styles: Tensor, to: str) -> Tensor:
        """Translations of images of one size together: many times faster than one by one where they are small.

        x: (N, C, H, W) in [-1, 1]; styles: (K * N, S), of which style j belongs to image j mod N. Returns
        (K * N, C', H, W) in [-1, 1] on the CPU, in the order of the styles. Best for up to `batch_size` images.
        """
        source, target = self.source(to), self.domain(to)
        of_each = styles.unflatten(0, (-1, len(x))).transpose(0, 1)
        made = self.decode_batch(self.encode_batch(x, source), of_each, target, (x.shape[2], x.shape[3]))
        return made.transpose(0, 1).flatten(0, 1).cpu()

    def batch_size(self, height: int, width: int) -> int:
        """How many images of this size fit into what is rendered at once."""
        return max(1, CHUNK_PIXELS // (height * width))

    def translate(
        self,
        image: Any,
        to: str,
        styles: int | Tensor | Sequence[Sequence[float]] = 1,
        seed: int = 0,
        style_from: Any | Sequence[Any] = (),
    ) -> list[Any]:
        """Translations of one image to domain `to`, of the image's kind, size and depth.

        styles: how many random ones (drawn with `seed`), or the styles themselves (K, S). style_from: exemplar images
        of domain `to` (one or several); then a number of `styles` is not used.
        """
        exemplars = list(style_from) if isinstance(style_from, (list, tuple)) else [style_from]
        if not self.method.capabilities.style_dim:
            if exemplars or not isinstance(styles, (int, np.integer)) or styles != 1:
                self._needs_styles()
            chosen = torch.zeros(1, 0)
        elif exemplars:
            chosen = torch.cat([self.style(e, to) for e in exemplars])
        elif isinstance(styles, (int, np.integer)):
            chosen = self.sample(int(styles), to, seed)
        else:
            chosen = self.checked(styles)
        return [_like(image, made) for made in self.outputs(image, chosen, to)]

    def checked(self, styles: Tensor | Sequence[Sequence[float]]) -> Tensor:
        """Styles as a float tensor (K, S). Raises UsageError when their length is not the model's."""
        self._needs_styles()
        size = self.method.capabilities.style_dim
        try:
            found = torch.as_tensor(styles, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"Styles must be a number of random ones, or numbers (K, {size}): {error}.") from error
        if found.dim() != 2 or found.shape[1] != size or not len(found):
            raise UsageError(f"Styles of shape {tuple(found.shape)} do not fit: this model takes (K, {size}), K >= 1.")
        if not bool(found.isfinite().all()):
            raise UsageError("Styles must be finite numbers.")
        return found

    def _tensor(self, image: Any, domain: str) -> Tensor:
        """(1, C, H, W) in [-1, 1] on the device, with the domain's channels."""
        channels = self.method.channels[domain]
        if isinstance(image, Tensor):
            if image.dim() != 3 or image.shape[0] != channels or not image.is_floating_point():
                raise UsageError(
                    f"A tensor of shape {tuple(image.shape)} and type {image.dtype} does not fit: "
                    f"domain {domain} takes ({channels}, H, W) of floats in [-1, 1]."
                )
            x = image.float()
        else:
            x = to_tensor(convert_channels(_as_array(image), channels))
        return x[None].to(self.device, memory_format=torch.channels_last)

    def _padded(self, x: Tensor) -> Tensor:
        """x with rows and columns reflected below and to the right, to multiples of the stride and the least size."""
        for axis in (2, 3):
            size = x.shape[axis]
            wanted = max(self.method.min_side, -(-size // self.method.stride) * self.method.stride)
            if wanted != size:
                x = x.index_select(axis, _reflected(size, wanted).to(x.device))
        return x.contiguous(memory_format=torch.channels_last)


def _reflected(size: int, wanted: int) -> Tensor:
    """Indices 0 .. wanted - 1 reflected at the borders of 0 .. size - 1 as often as needed (size 3: 0 1 2 1 0 1 2)."""
    period = max(1, 2 * (size - 1))
    places = torch.arange(wanted) % period
    return torch.minimum(places, period - places) if size > 1 else torch.zeros(wanted, dtype=torch.long)


def _as_array(image: Any) -> np.ndarray:
    """A PIL image or array as (H, W, C) of uint8 or uint16, or float in [0, 1] taken to uint16."""
    array = from_image(image) if isinstance(image, Image.Image) else np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or (array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f"):
        raise UsageError(
            f"An image must be a PIL image, an array (H, W, C) of uint8, uint16 or float in [0, 1], or a tensor; "
            f"this is {type(image).__name__} of shape {array.shape} and type {array.dtype}."
        )
    if 0 in array.shape:
        raise UsageError(f"The image has no pixels: its shape is {array.shape}.")
    if array.dtype.kind == "f":
        try:
            return from_unit(array)
        except ValueError as error:
            raise UsageError(f"The image holds {error}. Scale them, or give uint8.") from error
    return array


def _like(image: Any, made: Tensor) -> Any:
    """The output (C, H, W) in [-1, 1] as the kind that went in."""
    if isinstance(image, Tensor):
        return made.to(image.device)
    if isinstance(image, np.ndarray):
        if image.dtype.kind == "f":
            return ((made.permute(1, 2, 0).clamp(-1, 1) + 1) / 2).numpy().astype(image.dtype)
        return from_tensor(made, 8 * image.dtype.itemsize)
    grey16 = image.mode.startswith("I;16") and len(made) == 1
    array = from_tensor(made, 16 if grey16 else 8)
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def load(run: str | Path, **options: Any) -> Translator:
    """A trained model for use: `drit.load("runs/x").translate(image, to="b", styles=5, seed=0)`."""
    return Translator.load(run, **options)
