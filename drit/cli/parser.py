"""The parser of the command line. It loads the settings of methods only where a command that has them was chosen:
`drit --help` is as fast as it can be."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from drit.errors import UsageError, nearest

if TYPE_CHECKING:
    from drit.settings.common import TrainSettings


class Parser(argparse.ArgumentParser):
    """argparse whose errors are UsageErrors with the nearest flag named."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | options)
        self._takes_settings = False
        self._later: list[Callable[[Parser], None]] = []  # what adds flags once the command is chosen
        self._shown: TrainSettings | None = None  # whose settings are flags

    def take_settings(self) -> None:
        """From now on there is a flag for every setting of the method that the arguments choose."""
        self._takes_settings = True

    def add_later(self, add: Callable[[Parser], None]) -> None:
        """Have `add` add arguments to this parser once its command is chosen, be it for its help."""
        self._later.append(add)

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument [^:]+: invalid choice: '(.+)' \(choose from (.+)\)", message)
        hint = nearest(choice[1], re.findall(r"[\w+-]+", choice[2])) if choice else ""
        raise UsageError(f"{message[0].upper()}{message[1:]}.{hint} Help: {self.prog} --help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does. Raises UsageError for a setting of other methods, and says of which."""
        arguments = list(sys.argv[1:] if args is None else args)
        while self._later:
            self._later.pop(0)(self)
        if self._takes_settings and self._shown is None:
            from drit.cli import flags

            self._shown = flags.chosen(arguments)
            flags.add_settings(self, self._shown)
            self.set_defaults(shown=self._shown)
        values, unknown = super().parse_known_args(arguments, namespace)
        for word in unknown if self._shown else ():
            flag = word.partition("=")[0]
            name = flag.removeprefix("--no-").removeprefix("--").replace("-", "_")
            if flag.startswith("--") and self._shown:
                from drit.cli import flags

                flags.refuse_foreign(name, self._shown.method, f"Unknown flag '{flag}'")
        return values, unknown

    def parse_all(self, arguments: list[str] | None) -> argparse.Namespace:
        """Parse everything. Raises UsageError for an unknown flag, with the nearest one."""
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].partition("=")[0]
            known = getattr(values, "parser", self)._option_string_actions
            raise UsageError(
                f"Unknown {'flag' if word.startswith('-') else 'argument'} '{word}'.{nearest(word, known)} "
                f"Help: {getattr(values, 'parser', self).prog} --help"
            )
        return values


def seed(text: str) -> int:
    """The number of a flag that takes a seed."""
    from drit.settings.schema import MAX_SEED

    return _between(text, 0, MAX_SEED)


def threads(text: str) -> int:
    """The number of a flag that takes a count of threads; 0: all cores."""
    from drit.settings.schema import MAX_THREADS

    return _between(text, 0, MAX_THREADS)


def _between(text: str, low: int, high: int) -> int:
    if not text.lstrip("-").isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {low} to {high}")
    return int(text)


def fail(error: Exception, code: int) -> int:
    """Print an error for the person, without a traceback."""
    print(f"drit: {error}", file=sys.stderr)
    return code
