"""Using a trained model: everything goes through one class, `Translator`.

An image is encoded to its content code once, the generator's part that no style changes runs once (`prepare`), and
only the rest runs for each style (`render`), in chunks of styles so that memory stays bounded. Results are tensors as
any other: they can be changed in place and take part in what gradients are computed of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from drit.atomic import not_written
from drit.data.folders import source_name
from drit.data.images import convert_channels, from_image, from_tensor, from_unit, from_units, to_tensor, to_units
from drit.data.ranges import Reading, reading_of, select_bands
from drit.errors import UsageError
from drit.inference import memory
from drit.inference.formats import Samples, samples_of
from drit.inference.invention import InventionMap, InventionMeter
from drit.inference.state import LARGEST
from drit.inference.tiles import TiledImage, joined
from drit.methods.base import Method, Prepared
from drit.methods.registry import able, method_class, no_styles
from drit.runs import checkpoint as files
from drit.runs import pretrained
from drit.runs.record import settings_of_meta
from drit.runtime import autocast, choose, choose_device, cores, use_threads
from drit.settings.schema import MAX_SEED

# Pixels rendered at once: a chunk's largest map (about the width of the content encoder's first layer) stays near the
# size of the cache; more at once are slower.
CHUNK_PIXELS = 1 << 17
GPU_CHUNK_PIXELS = 1 << 21  # with less a GPU waits for the host's orders (docs/performance.md)
MAP_STYLES = 5  # that a map of invention takes by default
_COMPUTABLE = f"finite numbers from {-LARGEST:.0f} to {LARGEST:.0f}"


class Translator:
    """A trained model for use. `Translator.load(run)` or `drit.load(run)`.

    Images go in as PIL images, numpy arrays (H, W, C) or (H, W) of uint8, uint16 or float in [0, 1], or tensors
    (C, H, W) in [-1, 1]; what comes out is of the same kind (PIL images hold 16 bits in grey alone). Any size: images
    are padded by reflection to what the networks need and results cropped back.

    Threads may share a translator: no method changes what another one reads, and results are those of one thread.
    (`threads` and the handling of freed memory are settings of the whole process.)
    """

    def __init__(
        self,
        method: Method,
        names: dict[str, str],
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        weights: str = "",
    ) -> None:
        """names: the folder's name of each domain, which may be used in place of "a" and "b". weights: the SHA-256 of
        the file of weights, by which outputs name their run."""
        self.device = choose_device(device)
        if threads or self.device.type == "cpu":
            use_threads(threads or cores())
        self.dtype = choose(precision, self.device)
        self.method = method.eval().requires_grad_(False)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.names = names
        self.weights = weights
        self._bytes_per_pixel: dict[tuple[str, str], float] = {}  # of (source, target), counted when first needed

    @classmethod
    def load(
        cls, run: str | Path, device: str = "auto", precision: str = "auto", average: bool = True, threads: int = 0
    ) -> Translator:
        """The newest checkpoint of a run, or a checkpoint folder. `average`: use the moving average if there is one.

        Raises CheckpointError for what is not a run, is truncated, or belongs to another method.
        """
        checkpoint = files.find(Path(run))
        meta = files.load_meta(checkpoint)
        settings = settings_of_meta(checkpoint, meta)
        with torch.device("meta"):  # no time spent on initial weights that are replaced at once
            method = method_class(meta["method"])(settings, meta["channels"])
        weights, averaged = files.load_weights(checkpoint)
        if average:
            weights |= averaged
        files.check_fit(method.state_dict(), weights, checkpoint)
        method.load_state_dict(weights, assign=True)
        names = {d: source_name(path) for d, path in settings.data.sources().items()}
        return cls(method, names, device, precision, threads, files.weights_name(checkpoint, meta))

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> Translator:
        """A model that `save_pretrained` or `drit export --format hub` wrote. It gives the bytes that its run gives.

        Raises CheckpointError for what is no such folder, is damaged, or belongs to another method.
        """
        path = Path(folder)
        config, weights = pretrained.load(path)
        settings = settings_of_meta(path, config, pretrained.CONFIG)
        with torch.device("meta"):
            method = method_class(config["method"])(settings, config["channels"])
        pretrained.drop_unused(method)
        files.check_fit(method.state_dict(), weights, path, pretrained.MODEL)
        method.load_state_dict(weights, assign=True)
        return cls(method, config.get("names", {}), device, precision, threads, pretrained.weights_name(config))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model into a folder, for `from_pretrained`: config.json and model.safetensors.

        Nothing in it says where the images of the training lay. Raises DritError when the disk refuses.
        """
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            pretrained.save(path, self.method, self.names, 0, {"run": {"weights_sha256": self.weights}})
        except OSError as error:
            raise not_written(path, error) from error

    # Domains and styles

    def domain(self, name: str) -> str:
        """The domain's letter that a name (or the name of its folder) means. Raises UsageError if there is none."""
        if name in self.method.channels:
            return name
        of_name = [d for d, folder in self.names.items() if folder == name]
        if len(of_name) == 1:
            return of_name[0]
        known = ", ".join(f"{d} ({folder})" for d, folder in self.names.items())
        raise UsageError(f"There is no domain '{name}'. Domains of this run: {known}.")

    def source(self, to: str, given: str = "") -> str:
        """The domain that translation to `to` starts from (where one encoder serves several domains, one of them).

        given: the name of that domain, where it is known. Raises UsageError if the method does not go there.
        """
        self._translates()
        target = self.domain(to)
        directions = self.method.capabilities.directions
        if target not in directions:
            raise UsageError(f"This method does not translate to {target}: only to {', '.join(directions)}.")
        if given:
            source = self.domain(given)
            if source == target:
                raise UsageError(f"Images of {given} are of the domain that they would be translated to.")
            return source
        return next(d for d in self.method.channels if d != target)

    def known_source(self, to: str, given: str = "") -> str:
        """As `source`, where it matters which domain images are of. Raises UsageError where that is left open."""
        source = self.source(to, given)
        if not given and len(self.method.channels) > 2:
            raise UsageError(
                "The way back goes to the domain of the images, and this run has several: name it (--from DOMAIN; "
                'in Python source="DOMAIN").'
            )
        return source

    def sample(self, count: int, to: str, seed: int = 0) -> Tensor:
        """K = `count` random styles of domain `to`: (K, S), float32. The first of a seed do not depend on `count`.

        Raises UsageError for a method without styles, no styles, or a seed out of range.
        """
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

    def style(self, image: Any, domain: str) -> Tensor:
        """The style of an exemplar image of `domain`: the posterior mean (1, S), the same each time; on the CPU.

        image: of any kind that `translate` takes. Raises UsageError where the method takes no style from an image or
        the image does not fit.
        """
        self._needs_styles()
        if not self.method.capabilities.exemplar:
            names = able(lambda c: c.exemplar)
            raise UsageError(
                f"This method cannot take a style from an image. Use random styles; {', '.join(names)} can."
            )
        d = self.domain(domain)
        with self.computing():
            return _owned(self.method.style(self._padded(self._tensor(image, d)), d).float().cpu())

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
        """`count` styles on the straight lines from each style to the next, ends included: (K, S) -> (count, S).

        Raises UsageError for fewer than two styles or steps.
        """
        if len(styles) < 2 or count < 2:
            raise UsageError("Interpolation needs at least two styles and two steps.")
        places = torch.linspace(0, len(styles) - 1, count)
        left = places.floor().clamp(max=len(styles) - 2).long()
        share = (places - left)[:, None]
        return styles[left] * (1 - share) + styles[left + 1] * share

    # Images

    def content(self, image: Any, domain: str) -> Tensor:
        """Content code of one image (1, F, h, w), of the image as padded; on the device.

        image: of any kind that `translate` takes. Raises UsageError for a model that draws, or an image that does not
        fit.
        """
        self._translates()
        d = self.domain(domain)
        with self.computing():
            return _owned(self.method.content(self._padded(self._tensor(image, d)), d))

    def render(self, content: Tensor, styles: Tensor, to: str) -> Iterator[Tensor]:
        """Images (k, C, H, W) in [-1, 1], float32 on the CPU, in chunks of k styles.

        content: of one image (1, F, h, w), as `content` gives it. styles: (K, S). Where memory does not suffice for a
        chunk, the next ones are smaller; raises memory.TooLargeError where it does not for one style.
        """
        target = self.domain(to)
        size = self._size(content)
        with self.computing(*size):
            prepared = self.method.prepare(content, target)
        for rendered in self._rendered(prepared, styles, 1, target, size):
            yield _owned(rendered.cpu())
            del rendered  # before the next chunk is computed

    def _rendered(self, prepared: Prepared, styles: Tensor, n: int, to: str, size: tuple[int, int]) -> Iterator[Tensor]:
        """Images (k n, C, H, W), float32 on the device, in chunks of k rows of the styles (K n, S) of n images of
        which height and width are `size`, as padded."""
        chunk = max(1, self.batch_size(*size) // n)
        begin = 0
        while begin < len(styles):
            part = styles[begin : begin + chunk * n].to(self.device)
            rendered = None
            try:
                with self.computing(*size):
                    rendered = self.method.render(prepared, part, to).float()
            except memory.TooLargeError:
                if chunk == 1:
                    raise
            if rendered is None:
                chunk //= 2
                continue
            begin += len(part)
            yield rendered

    def encode_batch(self, x: Tensor, domain: str) -> Tensor:
        """Content codes (N, F, h, w), on the device, of images x (N, C, H, W) in [-1, 1], as padded."""
        with self.computing(*x.shape[-2:]):
            return _owned(self.method.content(self._padded(x.to(self.device)), domain))

    def style_batch(self, x: Tensor, domain: str) -> Tensor:
        """Styles (N, S), float32 on the device, of images x (N, C, H, W) in [-1, 1]; S 0 for a method without."""
        with self.computing(*x.shape[-2:]):
            return _owned(self.method.own_style(self._padded(x.to(self.device)), domain).float())

    def decode_batch(self, content: Tensor, styles: Tensor, to: str, size: tuple[int, int]) -> Tensor:
        """Images of domain `to` (N, K, C, H, W) in [-1, 1], float32 on the device.

        content: codes of N images (N, F, h, w). styles: K of each (N, K, S). size: height and width of the images,
        which the results are cropped to. Raises memory.TooLargeError where memory does not suffice.
        """
        with self.computing(*self._size(content)):
            prepared = self.method.prepare(content, to)
        rows = styles.transpose(0, 1).flatten(0, 1)  # style j belongs to image j mod N
        images = self.render_batch(prepared, rows, len(styles), to, size)
        return images.unflatten(0, (-1, len(styles))).transpose(0, 1)

    def prepare_batch(self, x: Tensor, to: str) -> Prepared:
        """What no style changes of images x (N, C, H, W) in [-1, 1]: encoded and prepared for domain `to`, a letter.

        Tensors of N images each, on the device, of the images as padded. Raises memory.TooLargeError where memory does
        not suffice.
        """
        with self.computing(*x.shape[-2:]):
            content = self.method.content(self._padded(x.to(self.device)), self.source(to))
            return tuple(_owned(part) for part in self.method.prepare(content, to))

    def render_batch(self, prepared: Prepared, styles: Tensor, n: int, to: str, size: tuple[int, int]) -> Tensor:
        """Images of domain `to` (K n, C, H, W) in [-1, 1], float32 on the device.

        prepared: of n images, as `prepare_batch` gives it. styles: (K n, S), of which style j belongs to image j mod n.
        size: height and width of the images, which the results are cropped to. Raises as there.
        """
        padded = self._wanted(size[0]), self._wanted(size[1])
        with torch.no_grad(), memory.named_size(*size):
            parts = [
                rendered[:, :, : size[0], : size[1]] for rendered in self._rendered(prepared, styles, n, to, padded)
            ]
            return torch.cat(parts)

    def outputs(self, image: Any, styles: Tensor, to: str) -> Iterator[Tensor]:
        """Translations of one image: (C, H, W) in [-1, 1] for each of the styles (K, S), of the image's own size.

        float32 on the CPU. Raises UsageError where the image or the direction does not fit, memory.TooLargeError where
        memory does not suffice.
        """
        source, target = self.source(to), self.domain(to)
        x = self._tensor(image, source)
        h, w = x.shape[-2:]
        self.check_memory(h, w, target)
        with self.computing(h, w):
            content = self.method.content(self._padded(x), source)
        for chunk in self.render(content, styles, target):
            for i in range(len(chunk)):
                yield chunk[i, :, :h, :w].clone()
            del chunk  # before the next is computed

    def batch(self, x: Tensor, styles: Tensor, to: str) -> Tensor:
        """Translations of images of one size together: many times faster than one by one where they are small.

        x: (N, C, H, W) in [-1, 1]; styles: (K N, S), of which style j belongs to image j mod N. Returns
        (K N, C', H, W) in [-1, 1] on the CPU, in the order of the styles. Best for up to `batch_size` images. Where
        memory does not suffice the images are taken in smaller batches; raises memory.TooLargeError where it does not
        for one.
        """
        source, target = self.source(to), self.domain(to)
        (n, _, h, w), of_each = x.shape, styles.unflatten(0, (-1, len(x)))  # (K, N, S)
        self.check_memory(h, w, target, 2 * 4 * self.method.channels[target] * len(of_each))  # parts, and joined
        try:
            images = self.decode_batch(self.encode_batch(x, source), of_each.transpose(0, 1), target, (h, w))
            return images.transpose(0, 1).flatten(0, 1).cpu()
        except memory.TooLargeError:
            if n == 1:
                raise
        halves = [
            self.batch(x[part], of_each[:, part].flatten(0, 1), target).unflatten(0, (len(of_each), -1))
            for part in (slice(n // 2), slice(n // 2, n))
        ]
        return torch.cat(halves, 1).flatten(0, 1)

    def memory_needed(self, height: int, width: int, to: str, kept: int = 0) -> int:
        """Bytes that the translation of one image of this size to domain `to` takes beside the weights, about.

        kept: bytes of results that are kept meanwhile, for each pixel.
        """
        pair = (self.source(to), self.domain(to))
        if pair not in self._bytes_per_pixel:
            self._bytes_per_pixel[pair] = memory.bytes_per_pixel(self.method, *pair, self.dtype)
        height, width = (self._wanted(side) for side in (height, width))
        return int((self._bytes_per_pixel[pair] + kept) * height * width)

    def check_memory(self, height: int, width: int, to: str, kept: int = 0) -> None:
        """Raises memory.TooLargeError, which names the largest size that fits, for an image whose translation does not
        fit into the memory that is free. Images of up to 512 x 512 pixels are not checked. kept: as there."""
        if height * width > memory.CHECKED_PIXELS:
            memory.check(self.memory_needed(height, width, to, kept), height, width, self.device)

    @contextmanager
    def computing(self, height: int = 0, width: int = 0) -> Iterator[None]:
        """How networks are computed, without gradients and in the translator's precision.

        height, width: of the images (0: small). Raises memory.TooLargeError where memory runs out.
        """
        large = height * width > memory.CHECKED_PIXELS and self.device.type == "cpu" and self._scarce(height, width)
        with memory.named_size(height, width), memory.large_blocks_given_back(large):
            with torch.no_grad(), autocast(self.dtype, self.device):
                yield

    def _scarce(self, height: int, width: int) -> bool:
        """Whether gaps between freed blocks, up to as large as the work, could exceed the memory that is free."""
        free = memory.available(self.device)
        needed = max(tuple(self._bytes_per_pixel.values()), default=0.0) * height * width
        return free is not None and 2 * needed > free

    def _size(self, content: Tensor) -> tuple[int, int]:
        """Height and width of the padded images that content codes (N, F, h, w) are of."""
        return self.method.stride * content.shape[-2], self.method.stride * content.shape[-1]

    def batch_size(self, height: int, width: int) -> int:
        """How many images of this size fit into what is rendered at once."""
        pixels = CHUNK_PIXELS if self.device.type == "cpu" else GPU_CHUNK_PIXELS
        return max(1, pixels // (height * width))

    def translate(
        self,
        image: Any,
        to: str,
        styles: int | Tensor | Sequence[Sequence[float]] = 1,
        seed: int = 0,
        style_from: Any | Sequence[Any] = (),
        tile: int = 0,
    ) -> list[Any]:
        """Translations of one image to domain `to`, of the image's kind, size and depth.

        image: a PIL image; an array (H, W, C) or (H, W) of uint8, uint16 or float in [0, 1]; or a tensor (C, H, W) in
        [-1, 1]. Of a run with a range (`--data.range`), PIL images and arrays hold numbers in the files' own units, and
        so do the translations. styles: how many random ones (drawn with `seed`), or the styles themselves (K, S).
        style_from: exemplar images of domain `to` (one or several); then a number of `styles` is not used. tile: of an
        image that is too large, strips of tile x tile pixels are in memory at once, and the rest in temporary files;
        the translation is the same but for rounding. Raises UsageError for what does not fit the model,
        memory.TooLargeError for an image that is too large.
        """
        chosen = self._chosen(to, styles, seed, style_from)
        samples = samples_of(self.method, self.source(to), self.domain(to))
        if tile:
            return self._tiled(image, chosen, to, tile, samples)
        return [_like(image, output, samples) for output in self.outputs(image, chosen, to)]

    def translate_many(
        self,
        images: Iterable[Any],
        to: str,
        styles: int | Tensor | Sequence[Sequence[float]] = 1,
        seed: int = 0,
        style_from: Any | Sequence[Any] = (),
    ) -> Iterator[list[Any]]:
        """Translations of each of many images, as `translate` gives them: lazily, and small ones together.

        images: of any kinds and sizes that `translate` takes; a generator may open them. All get the same styles,
        (K, S) or a number (the other arguments are as there). Neighbours of one size share a batch, which is faster
        where they are small; the outputs are those of `translate` but for rounding. At most a batch is read ahead.
        Raises as `translate` does, when the image at fault is reached.
        """
        chosen = self._chosen(to, styles, seed, style_from)
        source, target = self.source(to), self.domain(to)
        samples = samples_of(self.method, source, target)
        waiting: list[tuple[Any, Tensor]] = []  # of one size

        def translated() -> Iterator[list[Any]]:
            x = torch.cat([tensor for _, tensor in waiting])
            outputs = self.batch(x, chosen.repeat_interleave(len(x), 0), target).unflatten(0, (-1, len(x)))
            for i, (image, _) in enumerate(waiting):
                yield [_like(image, outputs[k, i].clone(), samples) for k in range(len(chosen))]
            waiting.clear()

        for image in images:
            x = self._tensor(image, source)
            if waiting and waiting[0][1].shape != x.shape:
                yield from translated()
            waiting.append((image, x))
            if len(waiting) >= self.batch_size(x.shape[-2], x.shape[-1]):
                yield from translated()
        if waiting:
            yield from translated()

    def translate_map(
        self,
        image: Any,
        to: str,
        styles: int | Tensor | Sequence[Sequence[float]] | None = None,
        seed: int = 0,
        style_from: Any | Sequence[Any] = (),
        source: str = "",
    ) -> InventionMap:
        """Translations of one image, as `translate` gives them, and maps (H, W) of what in them is invented.

        styles: (K, S) or a number, as there; by default 5 random ones, of a method with styles. source: the image's
        domain, which must be named where a run has more than two. Each output costs its translation, the way back, and
        an encoding. A method of one output has no std over styles; one that does not translate back has no cycle error.
        Raises UsageError where it has neither, and as `translate` does.
        """
        origin, target = self.known_source(to, source), self.domain(to)
        if styles is None:
            styles = MAP_STYLES if self.method.capabilities.style_dim else 1
        chosen = self._chosen(to, styles, seed, style_from)
        samples = samples_of(self.method, origin, target)
        x = self._tensor(image, origin)
        self.check_memory(x.shape[-2], x.shape[-1], target)
        meter = InventionMeter(self, x, origin, target)
        outputs, errors = [], []
        for output in self.outputs(image, chosen, to):
            errors.append(meter.add(output))
            outputs.append(_like(image, output, samples))
        std, cycle = meter.style_std(), [e.numpy() for e in errors if e is not None]
        return InventionMap(
            outputs,
            None if std is None else std.numpy(),
            np.stack(cycle) if cycle else None,
            np.array(meter.invention) if cycle else None,
        )

    def _tiled(self, image: Any, styles: Tensor, to: str, tile: int, samples: Samples) -> list[Any]:
        """`translate` in strips, for styles (K, S)."""
        source = self.source(to)
        values = self._values(image, source)
        height = values.shape[1 if isinstance(values, Tensor) else 0]
        tiled = TiledImage(self, values, source, self.domain(to), tile)
        if isinstance(image, Tensor):
            return [torch.cat(list(tiled.output(style)), 1).to(image.device) for style in styles]
        pillow = isinstance(image, Image.Image)
        kind = image.crop((0, 0, 1, 1)) if pillow else np.asarray(image)[:1, :1]
        arrays = [joined((np.asarray(_like(kind, s, samples)) for s in tiled.output(z)), height) for z in styles]
        return [Image.fromarray(a) for a in arrays] if pillow else arrays

    def _chosen(
        self, to: str, styles: int | Tensor | Sequence[Sequence[float]], seed: int, style_from: Any | Sequence[Any]
    ) -> Tensor:
        """The styles (K, S) that `translate` is asked for."""
        exemplars = list(style_from) if isinstance(style_from, (list, tuple)) else [style_from]
        if not self.method.capabilities.style_dim:
            if exemplars or not isinstance(styles, (int, np.integer)) or styles != 1:
                self._needs_styles()
            return torch.zeros(1, 0)
        if exemplars:
            return torch.cat([self.style(e, to) for e in exemplars])
        if isinstance(styles, (int, np.integer)):
            return self.sample(int(styles), to, seed)
        return self.checked(styles)

    def checked(self, styles: Tensor | Sequence[Sequence[float]]) -> Tensor:
        """Styles as a float tensor (K, S). Raises UsageError when their length is not the model's."""
        self._needs_styles()
        size = self.method.capabilities.style_dim
        try:
            codes = torch.as_tensor(styles, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UsageError(f"Styles must be a number of random ones, or numbers (K, {size}): {error}.") from error
        if codes.dim() != 2 or codes.shape[1] != size or not len(codes):
            raise UsageError(f"Styles of shape {tuple(codes.shape)} do not fit: this model takes (K, {size}), K >= 1.")
        if not _computable(codes):
            raise UsageError(f"Styles must be {_COMPUTABLE}: random ones are drawn from N(0, 1).")
        return codes

    def _tensor(self, image: Any, domain: str) -> Tensor:
        """(1, C, H, W) in [-1, 1] on the device, with the domain's channels."""
        values = self._values(image, domain)
        x = values if isinstance(values, Tensor) else to_tensor(values)
        return x[None].to(self.device, memory_format=torch.channels_last)

    def _values(self, image: Any, domain: str) -> np.ndarray | Tensor:
        """An image with the domain's channels: a tensor (C, H, W) in [-1, 1], or (H, W, C) of uint8 or uint16."""
        channels = self.method.channels[domain]
        if isinstance(image, Tensor):
            if image.dim() != 3 or image.shape[0] != channels or not image.is_floating_point():
                raise UsageError(
                    f"A tensor of shape {tuple(image.shape)} and type {image.dtype} does not fit: "
                    f"domain {domain} takes ({channels}, H, W) of floats in [-1, 1]."
                )
            _check_pixels(tuple(image.shape))
            if not _computable(image):
                raise UsageError(f"The pixels of a tensor must be {_COMPUTABLE}: images are in [-1, 1].")
            return image.float()
        return convert_channels(_as_array(image, channels, self._reading(domain)), channels)

    def _reading(self, domain: str) -> Reading:
        """How training read images of a domain."""
        return reading_of(self.method.settings.data, domain)

    def _padded(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) with rows and columns reflected below and to the right, to sides that the networks take."""
        for axis in (2, 3):
            places = self.padded_places(x.shape[axis])
            if len(places) != x.shape[axis]:
                x = x.index_select(axis, places.to(x.device))
        return x.contiguous(memory_format=torch.channels_last)

    def padded_places(self, side: int) -> Tensor:
        """The rows or columns of an image of this side that make up the padded one, in order: (N,)."""
        return _reflected(side, self._wanted(side))

    def _wanted(self, side: int) -> int:
        """The side that an image of this side is padded to: a multiple of the stride, and not below the minimum."""
        return max(self.method.min_side, -(-side // self.method.stride) * self.method.stride)


def _check_pixels(shape: tuple[int, ...]) -> None:
    """Raise UsageError for an image of this shape that has no pixels."""
    if 0 in shape:
        raise UsageError(f"The image has no pixels: its shape is {shape}.")


def _computable(x: Tensor) -> bool:
    """Whether networks can compute with x (any shape, not empty). NaN, and what overflows in them, would give NaN for
    pixels without a word."""
    return bool(x.abs().amax() <= LARGEST)  # NaN is not


def _owned(x: Tensor) -> Tensor:
    """x (any shape), or a copy where it is a view: one made without gradients cannot be changed in place with them."""
    return x.clone() if x._is_view() else x


def _reflected(size: int, wanted: int) -> Tensor:
    """Indices 0 .. wanted - 1 reflected at the borders of 0 .. size - 1 as often as needed (size 3: 0 1 2 1 0 1 2)."""
    period = max(1, 2 * (size - 1))
    places = torch.arange(wanted) % period
    return torch.minimum(places, period - places) if size > 1 else torch.zeros(wanted, dtype=torch.long)


def _as_array(image: Any, channels: int, reading: Reading) -> np.ndarray:
    """A PIL image or array as (H, W, C) of uint8 or uint16: float in [0, 1] taken to uint16, or numbers in the run's
    range. Bands are chosen as the run chose them where the image has other channels."""
    numbers = reading.value_range is not None
    array = from_image(image) if isinstance(image, Image.Image) and not numbers else np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    fits = array.dtype in (np.uint8, np.uint16) or array.dtype.kind in ("fiu" if numbers else "f")
    if array.ndim != 3 or not fits:
        raise UsageError(
            f"An image must be a PIL image, an array (H, W, C) of uint8, uint16 or float in [0, 1], or a tensor; "
            f"this is {type(image).__name__} of shape {array.shape} and type {array.dtype}."
        )
    _check_pixels(array.shape)
    if reading.bands and array.shape[2] != channels:
        array = select_bands(array[None], "The image", reading.bands)[0]
    if reading.value_range is not None:
        return from_units(array, reading.value_range)
    if array.dtype.kind == "f":
        try:
            return from_unit(array)
        except ValueError as error:
            raise UsageError(f"The image holds {error}. Scale them, or give uint8.") from error
    return array


def _like(image: Any, output: Tensor, samples: Samples) -> Any:
    """The output (C, H, W) in [-1, 1] as the kind that went in; in units where the run has a range."""
    if isinstance(image, Tensor):
        return output.to(image.device)
    pillow = isinstance(image, Image.Image)
    dtype = np.asarray(image).dtype
    if samples.value_range is not None:
        array = to_units(output, samples.value_range, samples.dtype(dtype.name))
    elif not pillow and dtype.kind == "f":
        array = ((output.permute(1, 2, 0).clamp(-1, 1) + 1) / 2).numpy().astype(dtype)
    else:
        deep = image.mode.startswith("I;16") and len(output) == 1 if pillow else dtype != np.uint8
        array = from_tensor(output, 16 if deep else 8)
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array) if pillow else array


def load(
    run: str | Path, device: str = "auto", precision: str = "auto", average: bool = True, threads: int = 0
) -> Translator:
    """A trained model for use: `drit.load("runs/x").translate(image, to="b", styles=5, seed=0)`.

    run: a run or checkpoint folder. device: cpu, cuda, ...; precision: float32 or bfloat16; auto chooses. average: use
    the moving average of the weights if there is one. threads: of a CPU; 0: all cores. Raises CheckpointError for what
    is no run, is truncated, or belongs to another method.
    """
    return Translator.load(run, device, precision, average, threads)
