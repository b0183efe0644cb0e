"""The runs that are served: a translator each, what clients are told of it, and whether its folder is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drit.atomic import file_state
from drit.bounded import resolved
from drit.errors import UsageError, nearest
from drit.inference.reading import numbered
from drit.inference.translator import Translator
from drit.runs.checkpoint import load_meta, weights_name
from drit.runs.folder import WEIGHTS, find, run_of
from drit.runs.library import StyleLibrary
from drit.serving.refusal import Refusal


class ServedRun:
    """A run by its name in requests."""

    def __init__(self, name: str, path: Path, translator: Translator, checkpoint: Path) -> None:
        """path: as the person gave it. checkpoint: that the translator was loaded from."""
        meta = load_meta(checkpoint)
        self.name = name
        self.path = path
        self.translator = translator
        self.library = StyleLibrary(checkpoint)
        self.weights = weights_name(checkpoint, meta)
        self.step = int(meta["step"])
        self._file = checkpoint / WEIGHTS
        self._state = file_state(self._file)

    def check(self) -> None:
        """Raises Refusal where the weights that were loaded are no longer those in the folder."""
        now = file_state(self._file)
        if now == self._state:
            return
        again = "Start the service again; tell its operator."
        if now:
            raise Refusal(409, f"The weights of run '{self.name}' were changed while it is served.", again)
        if self.path.exists():
            raise Refusal(409, f"The checkpoint of run '{self.name}' that is served was replaced by another.", again)
        raise Refusal(503, f"The folder of run '{self.name}' is gone.", f"Put it back. {again}")

    def description(self, with_path: bool) -> dict[str, Any]:
        """What clients need to know. with_path: where it lies too, for the person whose machine it is."""
        method, names = self.translator.method, self.translator.names
        able, data = method.capabilities, method.settings.data
        return {
            "name": self.name,
            "method": method.settings.method,
            "step": self.step,
            "weights": self.weights,
            "domains": [
                {"letter": d, "name": names.get(d) or d, "channels": count} for d, count in method.channels.items()
            ],
            "directions": [{"to": to, "from": self.translator.source(to)} for to in able.directions],
            "style_dim": able.style_dim,
            "exemplar": able.exemplar,
            "trained_size": data.resize or data.crop,
            **({"path": str(self.path)} if with_path else {}),
        }


class ServedRuns:
    """All runs that are served, in the order in which they were given."""

    def __init__(self, runs: Sequence[ServedRun]) -> None:
        self.all = list(runs)

    @classmethod
    def load(cls, paths: Sequence[str], **options: Any) -> ServedRuns:
        """Load them. options: of `Translator.load`.

        Raises CheckpointError for what is no run, UsageError for one that translates nothing.
        """
        names = numbered([_name(Path(path)) for path in paths])
        runs = []
        for name, text in zip(names, paths, strict=True):
            checkpoint = find(Path(text))
            translator = Translator.load(checkpoint, **options)
            if not translator.method.capabilities.directions:
                raise UsageError(f"{text} draws images from codes and translates none: leave it out.")
            runs.append(ServedRun(name, Path(text), translator, checkpoint))
        return cls(runs)

    def find(self, name: str) -> ServedRun:
        """The run of a name; of an empty one the only run there is. Raises Refusal for a name that none has, and where
        its folder changed."""
        found = [run for run in self.all if run.name == name] if name else self.all
        names = [run.name for run in self.all]
        if len(found) != 1:
            what = f"There is no run '{name[:100]}'.{nearest(name, names)}" if name else "Several runs are served."
            raise Refusal(404 if name else 422, what, f"Give the field 'run': {', '.join(names)}.")
        found[0].check()
        return found[0]


def _name(path: Path) -> str:
    """What a run is called: by its folder; a checkpoint by its run and its own."""
    run = run_of(path)
    return f"{resolved(run).name}_{path.name}" if run else resolved(path).name
