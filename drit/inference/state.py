"""What an output says of how it was made: the run, the direction, the style. It lies in the image file itself.

    {"format": 1, "version": "0.2.0", "run": SHA-256 of weights.safetensors, "from": "a", "to": "b",
     "name": "style003", "style": [0.1, -0.3, ...], "seed": 0}

`style` has the exact numbers. `seed` is that of a random style, else null: style003 is its third. Images that a model
draws from codes have neither direction nor style. A file that shows several styles, a grid or a walk, has them in order
in `styles`: [{"name": "style003", "style": [0.1, -0.3, ...], "seed": 0}, ...]; its `style` is empty. A PNG keeps this
JSON in an iTXt chunk with the keyword "drit.state"; a WebP, TIFF or JPEG keeps it as the property drit:state of its XMP
packet, a GIF as its comment (`drit/data/notes.py`).
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from drit.data.notes import read_note
from drit.errors import DataError
from drit.runs.reading import is_count, is_finite, parsed
from drit.settings.schema import MAX_SEED
from drit.version import VERSION

FORMAT = 1
MAX_JSON = 1 << 17  # letters; what is written has hundreds
MAX_TEXT = 200  # letters of a name
MAX_STYLE = 4096  # numbers
MAX_STYLES = 256  # of a file that shows several
LARGEST = 1e6  # of what networks compute with: far above what they are trained on, far below what overflows in them


@dataclass(frozen=True)
class Shown:
    """One of the styles of a file that shows several."""

    name: str
    style: tuple[float, ...]
    seed: int | None = None  # of a random style


@dataclass(frozen=True)
class State:
    """How an output was made."""

    run: str  # SHA-256 of the weights
    source: str = ""  # domain of the input, a letter; empty for an image that was drawn
    to: str = ""  # domain of the output
    name: str = ""  # of the style
    style: tuple[float, ...] = ()
    seed: int | None = None  # of a random style
    version: str = VERSION  # of the program
    styles: tuple[Shown, ...] = ()  # of a grid or walk, which has no `style` of its own

    def text(self) -> str:
        """The JSON that lies in the file."""
        value = {
            "format": FORMAT,
            "version": self.version,
            "run": self.run,
            "from": self.source,
            "to": self.to,
            "name": self.name,
            "style": list(self.style),
            "seed": self.seed,
        }
        several = [{"name": s.name, "style": list(s.style), "seed": s.seed} for s in self.styles]
        return json.dumps(value | ({"styles": several} if several else {}))

    def why_not(self, run: str, to: str, style_dim: int) -> str:
        """Why its style cannot be taken by a run, of which these are the weights, for domain `to`; empty if it can."""
        if self.run != run:
            return f"it was made by other weights ({self.run[:12]}; these are {run[:12]})"
        if self.to != to:
            return f"its style is of domain {self.to or 'none'}, not {to}"
        lengths = {len(shown.style) for shown in self.styles} or {len(self.style)}
        return "" if lengths == {style_dim} else f"its style has {max(lengths)} numbers, not {style_dim}"


def state_of(run: str, source: str, to: str, name: str, style: Tensor, seed: int | None) -> State:
    """The state of an output. run: SHA-256 of the weights; source, to: letters of domains; style: (S,)."""
    return State(run, source, to, name, tuple(style.tolist()), seed)


def together(name: str, states: Sequence[State]) -> State:
    """The state of a file that shows outputs of several styles of one run and direction."""
    shown = tuple(Shown(state.name, state.style, state.seed) for state in states)
    return State(states[0].run, states[0].source, states[0].to, name, styles=shown)


def parse(text: str) -> State:
    """The state that a JSON text holds. Raises DataError that says what is wrong with it."""
    if len(text) > MAX_JSON:
        raise DataError(f"it has more than {MAX_JSON} letters")
    try:
        value = parsed(text.encode())
    except ValueError as error:
        raise DataError(f"it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError("it is no JSON object")
    if value.get("format") != FORMAT:
        raise DataError(f"its format is {str(value.get('format'))[:20]}, and this version reads {FORMAT}")
    seed = value.get("seed")
    fits = {
        "version": _is_text(value.get("version")),
        "run": _is_text(value.get("run")) and bool(re.fullmatch("[0-9a-f]{64}", value["run"])),
        "from": _is_text(value.get("from")),
        "to": _is_text(value.get("to")),
        "name": _is_text(value.get("name")),
        "style": _is_style(value.get("style")),
        "seed": seed is None or is_count(seed, MAX_SEED),
    }
    several = value.get("styles", [])
    fits["styles"] = isinstance(several, list) and len(several) <= MAX_STYLES and all(map(_is_shown, several))
    for name, well in fits.items():
        if not well:
            raise DataError(f"'{name}' cannot be {str(value.get(name))[:40]!r}")
    styles = tuple(Shown(each["name"], _numbers(each["style"]), each["seed"]) for each in several)
    style = _numbers(value["style"])
    return State(value["run"], value["from"], value["to"], value["name"], style, seed, value["version"], styles)


def find_state(path: str | Path) -> tuple[State | None, str]:
    """The state in an image file, or why what is there is ignored; None and nothing where there is none.

    Raises DataError for a file that is no image.
    """
    note = read_note(Path(path))
    try:
        return (parse(note) if note else None), ""
    except DataError as error:
        return None, str(error)


def read_state(path: str | Path) -> State | None:
    """How an image was made, if this program wrote it: run, direction, style numbers, seed, version.

    None where there is no state. A malformed one is ignored, with a Python warning that names the file and what is
    wrong. Raises DataError for a file that is no image.
    """
    state, why = find_state(path)
    if why:
        warnings.warn(ignored(path, why), stacklevel=2)
    return state


def ignored(path: str | Path, why: str) -> str:
    """The sentence that a malformed state is ignored."""
    return f"{path}: what it says of how it was made is ignored: {why}."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_shown(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_text(value.get("name")) or not _is_style(value.get("style")):
        return False
    return "seed" in value and (value["seed"] is None or is_count(value["seed"], MAX_SEED))


def _numbers(style: list[float]) -> tuple[float, ...]:
    return tuple(float(v) for v in style)


def _is_style(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) <= MAX_STYLE and all(is_finite(v) and abs(v) <= LARGEST for v in value)
    )
