"""The styles that a translation is asked for: random, of exemplar images, kept in files, or between others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drit.bounded import is_file, is_folder, read_json
from drit.data.folders import list_images
from drit.data.images import to_tensor
from drit.data.names import file_of, slice_of, without_ending
from drit.data.volumes import expand
from drit.errors import DataError, UsageError, nearest
from drit.inference.reading import numbered, read_image
from drit.inference.state import find_state, ignored
from drit.inference.translator import Translator
from drit.methods.registry import no_styles
from drit.runs.reading import is_finite

MAX_NAME = 150  # bytes of a style's name; with that of the input, systems take 255


@dataclass(frozen=True)
class Style:
    """A style (S,) with the name that files and columns carry."""

    name: str
    code: Tensor  # (S,)
    image: np.ndarray | None = None  # the exemplar it was taken from (H, W, C)
    seed: int | None = None  # of a random style


@dataclass(frozen=True)
class StyleChoice:
    """Which styles are asked for: those of exemplar images and saved files, else random ones."""

    count: int = 1  # random styles
    seed: int = 0  # of the random styles
    exemplars: Sequence[str] = ()  # image files, or folders of images
    saved: Sequence[str] = ()  # JSON files as translate writes them
    interpolate: int = 0  # in place of them so many steps between each and the next; fewer than two get random ends


def chosen_styles(
    translator: Translator, to: str, choice: StyleChoice, say: Callable[[str], None] = lambda text: None
) -> list[Style]:
    """The styles asked for, of domain `to`, each with a name of its own.

    An exemplar that is an output of this run in this domain gives the exact style it was made with. say: called with a
    sentence where an exemplar has such a style, or one that cannot be taken. Raises UsageError where the method has no
    such styles, DataError for an exemplar that cannot be read.
    """
    if not translator.method.capabilities.style_dim:
        if choice.exemplars or choice.saved or choice.interpolate or choice.count > 1:
            raise UsageError(f"{no_styles()} Leave the style flags out.")
        return [Style("output", torch.zeros(0))]
    styles = []
    for path in _exemplar_files(choice.exemplars):
        array, _ = read_image(path, translator.method, to)
        code = _own_style(path, translator, to, say)
        if code is None:
            code = translator.style(to_tensor(array), to)[0]
        styles.append(Style(_fitting(f"as_{without_ending(path).name}"), code, array))
    for name in choice.saved:
        styles += read_styles(Path(name), translator)
    if not styles or (choice.interpolate and len(styles) < 2):
        ends = max(2 - len(styles), 1 if styles else choice.count)
        codes = translator.sample(ends if choice.interpolate else choice.count, to, choice.seed)
        styles += [Style(f"style{i + 1:03d}", code, seed=choice.seed) for i, code in enumerate(codes)]
    if choice.interpolate:
        steps = translator.interpolate(torch.stack([s.code for s in styles]), choice.interpolate)
        return [Style(f"step{i + 1:03d}", code) for i, code in enumerate(steps)]
    names = numbered([s.name for s in styles])
    return [replace(style, name=name) for style, name in zip(styles, names, strict=True)]


def _own_style(path: Path, translator: Translator, to: str, say: Callable[[str], None]) -> Tensor | None:
    """The style (S,) that an output of this run was made with; None for another image."""
    if slice_of(path) is not None:
        return None
    state, why = find_state(path)
    if why:
        say(ignored(path, why))
    if state is None:
        return None
    if why := state.why_not(translator.weights, to, translator.method.capabilities.style_dim):
        say(f"{path}: the style is taken from what the image shows: {why}.")
        return None
    if state.styles:
        raise UsageError(f"{path} shows {len(state.styles)} styles. Give an image in one of them.")
    say(f"{path}: the exact style that it was made with is taken.")
    return translator.checked([state.style])[0]


def _exemplar_files(exemplars: Sequence[str]) -> list[Path]:
    """The images that file and folder names mean. Raises DataError for one that is missing, or an empty folder."""
    files: list[Path] = []
    for name in exemplars:
        path = Path(name)
        images = list_images(path) if is_folder(path) else expand(path) if is_file(file_of(path)) else []
        if not images:
            raise DataError(f"No images in {path}." if path.is_dir() else f"There is no image or folder {path}.")
        files += images
    return files


def _fitting(name: str) -> str:
    """A style's name, cut where it would make the names of outputs too long."""
    return os.fsencode(name)[:MAX_NAME].decode(errors="ignore") if len(os.fsencode(name)) > MAX_NAME else name


def _names_file(name: str) -> bool:
    """Whether a name can be part of a file's."""
    try:
        return 0 < len(os.fsencode(name)) <= MAX_NAME and name == Path(name).name != ".." and "\0" not in name
    except UnicodeEncodeError:
        return False


def read_styles(path: Path, translator: Translator) -> list[Style]:
    """Styles of a JSON file as `translate` writes it: {"styles": {name: [numbers]}}, each of the model's length S. One
    of them alone: `FILE:NAME`.

    Raises UsageError for a file that is none, a name that is not in it, or one that cannot be part of a file's.
    """
    file, _, wanted = str(path).rpartition(":")
    if not path.exists() and Path(file).is_file():
        styles = read_styles(Path(file), translator)
        chosen = [style for style in styles if style.name == wanted]
        if not chosen:
            raise UsageError(f"{file} has no style '{wanted}'.{nearest(wanted, [style.name for style in styles])}")
        return chosen
    try:
        content: dict[str, Any] = read_json(path)["styles"]
        if not all(isinstance(numbers, list) and all(map(is_finite, numbers)) for numbers in content.values()):
            raise ValueError("styles are lists of finite numbers")
        codes = translator.checked(list(content.values()))
    except UsageError as error:
        raise UsageError(f"The style file {path}: {error}") from error
    except OSError as error:
        raise UsageError(f"The style file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a style file: it must hold {{"styles": {{"name": [numbers]}}}}, as translate writes it.'
        ) from error
    for name in content:
        if not _names_file(name):
            raise UsageError(
                f"{path}: the style's name {name[:100]!r} cannot be part of a file name. Rename it in the file."
            )
    return [Style(name, code) for name, code in zip(content, codes, strict=True)]
