"""The runs that are served: a translator each, what clients are told of it, and whether its folder is as it was."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drit.atomic import file_state
from drit.bounded import resolved
from drit.errors import UsageError, nearest
from drit.inference.reading import numbered
from drit.inference.translator import Translator
from drit.runs.checkpoint import load_meta, weights_name
from drit.runs.folder import WEIGHTS, checkpoints, find, run_of, step_of
from drit.runs.library import StyleLibrary
from drit.serving.refusal import Refusal

OPENED = 4  # checkpoints beside the given runs that are open at once


class ServedRun:
    """A run by its name in requests."""

    def __init__(self, name: str, path: Path, translator: Translator, checkpoint: Path, of: str = "") -> None:
        """path: as the person gave it. checkpoint: that the translator was loaded from. of: the run of which it is
        another checkpoint that was opened later; empty for one that was given."""
        meta = load_meta(checkpoint)
        self.name = name
        self.path = path
        self.of = of
        self.checkpoint = checkpoint
        self.translator = translator
        self.library = StyleLibrary(checkpoint)
        self.weights = weights_name(checkpoint, meta)
        self.step = int(meta["step"])
        self._file = checkpoint / WEIGHTS
        self._state = file_state(self._file)

    def changed(self) -> bool:
        """Whether the weights that were loaded are no longer those in the folder."""
        return file_state(self._file) != self._state

    def check(self) -> None:
        """Raises Refusal where the weights that were loaded are no longer those in the folder."""
        now = file_state(self._file)
        if not self.changed():
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
            **(self._on_disk() if with_path else {}),
        }

    def _on_disk(self) -> dict[str, Any]:
        folder = run_of(self.checkpoint)
        steps = [step_of(checkpoint) for checkpoint in checkpoints(folder)] if folder else []
        return {"path": str(self.path), "of": self.of, "steps": steps}


class ServedRuns:
    """All runs that are served, in the order in which they were given."""

    def __init__(self, runs: Sequence[ServedRun], **options: Any) -> None:
        """options: of `Translator.load`, for checkpoints that are opened later."""
        self.all = list(runs)
        self._options = options
        self._opening = threading.Lock()

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
        return cls(runs, **options)

    def open(self, name: str, step: int) -> ServedRun:
        """The checkpoint of iteration `step` of a run that was given, read anew where its files changed.

        Of those that were opened so, the oldest makes room. Raises Refusal where there is none, CheckpointError where
        it cannot be read.
        """
        with self._opening:
            given = self._named(name, [run for run in self.all if not run.of])
            folder = run_of(given.checkpoint)
            found = [p for p in checkpoints(folder) if step_of(p) == step] if folder else []
            if given.step == step and (not found or not given.changed()):
                return given
            if not found:
                raise Refusal(
                    404, f"Run '{given.name}' has no checkpoint of iteration {step}.", "GET /v1/runs lists them."
                )
            known = [run for run in self.all if run.of == given.name and run.step == step]
            if known and not known[0].changed():
                return known[0]
            translator = Translator.load(found[0], **self._options)
            if given.step == step:
                new = ServedRun(given.name, given.path, translator, found[0])
                self.all[self.all.index(given)] = new
                return new
            new = ServedRun(f"{given.name}_{found[0].name}", found[0], translator, found[0], given.name)
            opened = [run for run in self.all if run.of and run not in known][1 - OPENED :]
            self.all = [run for run in self.all if not run.of] + opened + [new]
            return new

    def find(self, name: str) -> ServedRun:
        """The run of a name; of an empty one the only run there is. Raises Refusal for a name that none has, and where
        its folder changed."""
        found = self._named(name, self.all)
        found.check()
        return found

    @staticmethod
    def _named(name: str, runs: Sequence[ServedRun]) -> ServedRun:
        found = [run for run in runs if run.name == name] if name else [run for run in runs if not run.of]
        names = [run.name for run in runs]
        if len(found) != 1:
            what = f"There is no run '{name[:100]}'.{nearest(name, names)}" if name else "Several runs are served."
            raise Refusal(404 if name else 422, what, f"Give the field 'run': {', '.join(names)}.")
        return found[0]


def _name(path: Path) -> str:
    """What a run is called: by its folder; a checkpoint by its run and its own."""
    run = run_of(path)
    return f"{resolved(run).name}_{path.name}" if run else resolved(path).name
