"""The styles that people named and kept, beside the run: RUN/styles.json.

    {"styles": {NAME: [numbers]}, "domains": {NAME: LETTER}, "tags": {NAME: [TAG, ...]}}

`tags` is there where a style has some; versions before them read the file, and drop them when they write it.
`drit translate --style` reads the file too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drit.atomic import not_written, write_json
from drit.errors import UsageError
from drit.runs.folder import STYLES, root_of
from drit.runs.reading import DamagedError, is_finite, read_object

MAX_NAME = 80  # letters
MAX_STYLES = 10_000
MAX_TAGS = 20  # of a style
MAX_TAG = 40  # letters


class KeptStyle(NamedTuple):
    """A style with its name."""

    name: str
    domain: str  # a letter
    numbers: list[float]
    tags: tuple[str, ...] = ()


class StyleLibrary:
    """The kept styles of one run. Each call reads the file, so that several programs may use it. Thread-safe."""

    def __init__(self, checkpoint: Path) -> None:
        """checkpoint: of the run; one that was copied out of its run has its library inside."""
        self.path = root_of(checkpoint) / STYLES
        self._lock = threading.Lock()

    def styles(self) -> list[KeptStyle]:
        """All of them, in the order in which they were kept. Raises DamagedError for a file that is none of them."""
        if not self.path.exists() and not self.path.is_symlink():
            return []
        remedy = "Put it back from a copy, or move it away."
        content = read_object(self.path, self.path.parent, remedy)
        styles, domains = content.get("styles"), content.get("domains")
        if not isinstance(styles, dict) or not isinstance(domains, dict):
            raise DamagedError(f"{self.path} does not hold styles and their domains. {remedy}")
        for name, numbers in styles.items():
            if not isinstance(numbers, list) or not all(map(is_finite, numbers)) or name not in domains:
                raise DamagedError(f"{self.path}: the style {name!r} is not a list of numbers with a domain. {remedy}")
        tags = content.get("tags", {})
        if not isinstance(tags, dict) or not all(map(_are_tags, tags.values())):
            raise DamagedError(f"{self.path}: 'tags' does not hold a list of texts for each style. {remedy}")
        return [
            KeptStyle(name, str(domains[name]), numbers, tuple(tags.get(name, ()))) for name, numbers in styles.items()
        ]

    def keep(self, name: str, domain: str, numbers: Sequence[float]) -> None:
        """Keep a style under a name that is not taken.

        Raises UsageError for a name that cannot be part of a file's or is taken, DritError where the disk refuses.
        """
        check_name(name)
        with self._lock:
            styles = self.styles()
            if any(style.name == name for style in styles):
                raise UsageError(f"There is a style '{name}' already. Choose another name, or remove that one first.")
            if len(styles) >= MAX_STYLES:
                raise UsageError(f"{self.path} holds {len(styles)} styles, the most it takes. Remove some first.")
            self._write([*styles, KeptStyle(name, domain, [float(v) for v in numbers])])

    def tag(self, name: str, tags: Sequence[str]) -> None:
        """Give a style these tags in place of its own.

        Raises UsageError where there is no such style or a tag cannot be one, DritError where the disk refuses.
        """
        for tag in tags:
            if not 0 < len(tag) <= MAX_TAG or tag != tag.strip() or not tag.isprintable() or "," in tag:
                raise UsageError(f"A tag cannot be {tag[:MAX_TAG]!r}: give 1 to {MAX_TAG} letters without a comma.")
        if len(tags) > MAX_TAGS:
            raise UsageError(f"{len(tags)} tags are given: a style takes at most {MAX_TAGS}.")
        with self._lock:
            styles = self.styles()
            if all(style.name != name for style in styles):
                raise UsageError(f"There is no style '{name}' in {self.path}.")
            self._write([s._replace(tags=tuple(dict.fromkeys(tags))) if s.name == name else s for s in styles])

    def remove(self, name: str) -> None:
        """Forget a style. Raises UsageError where there is none of that name, DritError where the disk refuses."""
        with self._lock:
            styles = self.styles()
            left = [style for style in styles if style.name != name]
            if len(left) == len(styles):
                raise UsageError(f"There is no style '{name}' in {self.path}.")
            self._write(left)

    def _write(self, styles: Sequence[KeptStyle]) -> None:
        content: dict[str, Any] = {
            "styles": {style.name: style.numbers for style in styles},
            "domains": {style.name: style.domain for style in styles},
        }
        tags = {style.name: list(style.tags) for style in styles if style.tags}
        if tags:
            content["tags"] = tags
        try:
            write_json(self.path, content)
        except OSError as error:
            raise not_written(self.path, error, "try again") from error


def _are_tags(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tag, str) for tag in value)


def check_name(name: str) -> None:
    """Raises UsageError for a name that cannot be part of a file's."""
    if not 0 < len(name) <= MAX_NAME or name != name.strip() or not name.isprintable() or set(name) & set('/\\:*?"<>|'):
        raise UsageError(
            f"A style cannot be called {name[:MAX_NAME]!r}: give 1 to {MAX_NAME} letters, digits or spaces between "
            'them, without / \\ : * ? " < > |.'
        )
    if name.startswith("."):
        raise UsageError(f"A style cannot be called {name!r}: the name begins with a dot.")
