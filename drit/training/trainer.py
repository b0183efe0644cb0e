"""The training loop: runs any method, owns optimizers, devices, files and the way back after an interruption.

Everything random is a pure function of seed and position (weights: the seed; batches: the number of batches drawn;
noise: the iteration), so that N iterations in one go and N/2 + resume give the same bits.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from drit import peers
from drit.data.classes import class_indices
from drit.data.folders import ImageSet
from drit.data.images import to_tensor
from drit.data.masks import Masks
from drit.data.stream import BatchStream, LoaderEndedError, choose_workers
from drit.data.transforms import centre_crop
from drit.errors import CheckpointError, DivergedError, DritError, UsageError
from drit.methods.base import Batch, Capabilities, Method
from drit.runs import checkpoint as files
from drit.runs.folder import STATE, RunFolder
from drit.runs.metrics import Metrics
from drit.runs.record import describe
from drit.runtime import autocast, choose, choose_device, cores, keep_freed_memory, make_deterministic
from drit.settings.common import TrainSettings
from drit.settings.schema import flag_of
from drit.sheets import save_sheet
from drit.training.ema import MovingAverage
from drit.training.interrupt import HURRIED, URGENCY, Cause, Interrupt
from drit.training.optimizers import make_optimizers, restore_optimizer
from drit.training.progress import Bar
from drit.training.safety import RECOVERY, Safety, weight_of
from drit.training.samples import sample_sheet
from drit.training.schedule import rate_factor
from drit.training.updates import gradients, turns_of, weights_of
from drit.training.watch.watch import Watch

SAMPLE_IMAGES = 4
NAMED = 4  # of what is not finite, in a message


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended."""

    run: Path
    step: int
    finished: bool  # False: stopped, saved
    stopped: Cause  # what stopped it from outside, if something did
    losses: dict[str, float]  # the last ones, each update's total and each term
    capabilities: Capabilities  # what the trained method can do


class _Due(NamedTuple):
    """What an iteration calls for."""

    look: bool  # of the watch
    log: bool
    sample: bool
    save: bool


class _Means:
    """Means of terms over the iterations that have them; nothing is read from a device before they are asked for. What
    is not finite does not count."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}  # iterations in which it was finite
        self._added: Counter[str] = Counter()  # iterations that had it

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            self._added[name] += 1
            finite = value.isfinite()
            value, count = torch.where(finite, value, 0), finite.float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def values(self) -> dict[str, float]:
        """The means, of terms that were finite at least once."""
        counts = {name: int(count) for name, count in self._counts.items()}
        return {name: float(v) / counts[name] for name, v in self._sums.items() if counts[name]}

    def broken(self) -> list[str]:
        """The terms, sums of terms aside, that were not finite at least once."""
        return [
            name
            for name, count in self._counts.items()
            if int(count) < self._added[name] and not name.startswith("total/")
        ]


class Trainer:
    """One training in progress. A context manager: leaving it stops loaders, whatever happened.

    run: the folder that `fit` writes to; without one it can only `iterate`.
    """

    def __init__(
        self, method: type[Method], settings: TrainSettings, sets: dict[str, ImageSet], run: Path | None = None
    ) -> None:
        self.settings = settings
        self.sets = sets
        self.run = run
        if settings.deterministic:
            make_deterministic()
        self.device = choose_device(settings.device)
        torch.set_num_threads(settings.threads or max(1, cores() // peers.local_count()))
        keep_freed_memory()
        self.dtype = choose(settings.precision, self.device)
        self.channels = {d: s.channels for d, s in sets.items()}
        torch.manual_seed(settings.seed)
        masks = settings.learns_masks
        self.masks = Masks(sets["a"], settings.classes) if masks else None
        self.labels = torch.from_numpy(class_indices(sets["a"])) if settings.learns_labels and not masks else None
        self.method = method(settings, self.channels)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizers = make_optimizers(self.method)
        self.average = MovingAverage(self.method, settings.optim.ema)
        self.step = 0  # iterations done
        self.safety = Safety()
        self.stream: BatchStream | None = None
        self.position = 0  # batches drawn
        self.seconds = 0.0  # of training, by the clock on the wall, over all calls
        self.last: dict[str, float] = {}  # losses of the last iterations

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            self.stream.close()

    @property
    def path(self) -> Path:
        """The run's folder."""
        assert self.run is not None, "this trainer has no run to write to"
        return self.run

    def begin_with(self, weights: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        """Begin with these weights, and this moving average where both keep one, in place of random ones.

        weights, average: tensors of some or all networks, by name, of any shape: that of the method's own.
        """
        self.method.load_state_dict(weights, strict=False)
        if self.average.tensors:
            self.average.reset()
            self.average.load(average)

    def restore(self, checkpoint: Path) -> None:
        """Take up a checkpoint by its folder. Raises CheckpointError for one that is damaged or does not fit."""
        self.take_up(files.load(checkpoint))

    def take_up(self, checkpoint: files.Loaded) -> None:
        """Go on where a checkpoint was written: weights, moving average, optimizers, positions.

        Raises CheckpointError for one of another method or other sizes.
        """
        folder, meta, weights, average, state = checkpoint
        if meta["method"] != self.settings.method:
            raise CheckpointError(
                f"{folder} is of the method '{meta['method']}', not '{self.settings.method}'. Resume with its own "
                "method."
            )
        files.check_fit(self.method.state_dict(), weights, folder)
        self.method.load_state_dict(weights)
        if set(state["optimizers"]) != set(self.optimizers):
            raise CheckpointError(
                f"{folder / STATE} is of another run: its optimizers are not those of '{self.settings.method}'."
            )
        if self.average.tensors and average:
            files.check_fit(self.average.tensors, average, folder)
            self.average.load(average)
        elif self.average.tensors:  # switched on at a resume
            self.average.reset()
        try:
            for name, optimizer in self.optimizers.items():
                restore_optimizer(optimizer, state["optimizers"][name])
            self.method.load_training_state(state.get("method", {}))
            self.safety.load(state.get("safety", {}))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / STATE} does not fit the weights beside it ({error}). {files.instead(folder)}"
            ) from error
        self.seconds = meta.get("seconds", 0.0)
        self.step, self.position = state["step"], state["position"]

    def fit(self, stop_after: int | None = None, interrupt: Interrupt | None = None) -> Outcome:
        """Iterate to `settings.steps`, or until interrupted; a checkpoint is written either way.

        interrupt: what may stop the training; without it, signals alone.
        """
        settings, first = self.settings, peers.is_first()  # which alone writes
        self.check_unfinished()
        end = settings.steps if stop_after is None else min(settings.steps, self.step + stop_after)
        with self._writing():
            metrics = Metrics(self.path, settings.log, self.step) if first else None
        workers = self.start_stream()
        bar = Bar(settings.steps, self.step, shown=first)
        bar.say(self._introduction(workers))
        with self._writing():
            watch = Watch(self.path, self.method, self.fixed_images, self.step) if first else None
        means = _Means()
        cause: Cause = ""
        told = {name for s in self.sets.values() for name in s.skipped}
        began = time.monotonic() - self.seconds
        try:
            with interrupt or Interrupt() as stop, self._loading():
                peers.follow_first([*self.method.state_dict().values(), *self.average.tensors.values()])
                stop.begin()
                turn, ending, skipped = time.monotonic(), self.step >= end, False
                while not ending:
                    means.add(self.iterate())
                    now = time.monotonic()
                    self.seconds = now - began
                    stop.iterated(now - turn)
                    turn = now
                    cause = self._agreed(stop.cause, told)  # asked for later, it ends after one iteration more
                    self._tell_skipped(told, bar)
                    ending = self.step == end or bool(cause)
                    due = self._due(ending, cause in HURRIED)
                    if due.log or due.save or self.device.type == "cpu":
                        self.last = means.values()
                        skipped = self._tell_unsafe(bar, means)
                        bar.update(self.step, {n: v for n, v in self.last.items() if n.startswith("total/")})
                    if due.log:
                        if metrics is not None:
                            self._log(metrics, watch if due.look else None, bar)
                        means = _Means()
                    if not first:
                        continue
                    if due.save and (ending or not skipped):  # before the samples: they can be spared
                        self.save()
                        stop.saved(time.monotonic() - now)
                    if due.sample:
                        self.write_samples()
        finally:
            if metrics is not None:
                metrics.close()
            bar.close()
        finished = self.step >= settings.steps
        return Outcome(self.path, self.step, finished, "" if finished else cause, self.last, self.method.capabilities)

    def _agreed(self, cause: Cause, told: set[str]) -> Cause:
        """What stops the training, in all processes after the same iteration: the most urgent of their causes.

        They also tell each other of images that turned out unreadable, whose number is limited. told: names of those
        that are known to all. Raises DataError beyond the limit.
        """
        if peers.count() == 1:
            return cause
        fresh = any(name not in told for s in self.sets.values() for name in s.skipped)
        urgency, fresh_anywhere = peers.maximum([URGENCY.index(cause), fresh])
        if fresh_anywhere:
            for skipped in peers.told({d: s.skipped for d, s in self.sets.items()}):
                for d, unreadable in skipped.items():
                    self.sets[d].skip(unreadable)
        return URGENCY[urgency]

    def check_unfinished(self) -> None:
        """Raises UsageError where there is nothing left to train."""
        if self.step >= self.settings.steps:
            raise UsageError(
                f"{self.path} is trained already: {self.step} of {self.settings.steps} iterations. "
                f"Go on with more: drit train --resume {self.path} --steps {2 * self.step}"
            )

    def _due(self, ending: bool, hurried: bool) -> _Due:
        """What this iteration calls for. ending: it is the last one of this call; hurried: and time is short."""
        log = self.settings.log

        def turn(every: int) -> bool:
            return every > 0 and self.step % every == 0

        # before the last stage, what translates has learnt nothing yet
        final = self.method.stage(self.step - 1, self.settings.steps)[1] == self.settings.steps
        look = turn(log.watch_every) and final
        sample = bool(log.sample_every) and (turn(log.sample_every) or ending) and not (ending and hurried)
        return _Due(look, turn(log.metrics_every) or ending or look, sample, turn(log.checkpoint_every) or ending)

    def _tell_skipped(self, told: set[str], bar: Bar) -> None:
        """Name images that turned out unreadable, once each."""
        for name, why in [item for s in self.sets.values() for item in list(s.skipped.items())]:
            if name not in told:
                told.add(name)
                bar.say(f"skipped: {why}")

    def _log(self, metrics: Metrics, watch: Watch | None, bar: Bar) -> None:
        """A line of metrics, with what the watch sees and says if there is one."""
        rates = [o.param_groups[0]["lr"] for o in self.optimizers.values()]
        values = self.last | {"rate/generator": max(rates)} | (self.look(watch) if watch else {})
        if self.safety.skipped:
            values["skipped/updates"] = float(self.safety.skipped)
        with self._writing():
            metrics.write(self.step, values)
            messages = watch.judge(self.step, values) if watch else []
        for message in messages:
            bar.say(message)

    @contextmanager
    def _writing(self, path: Path | None = None) -> Iterator[None]:
        """While open, a disk that refuses raises DritError, which names the last whole checkpoint and the way on.

        path: what is written, where the error does not say it.
        """
        try:
            yield
        except OSError as error:
            raise DritError(
                f"Training stopped at iteration {self.step}: {error.filename or path or self.path} cannot be "
                f"written ({error.strerror or error}). {files.last_whole(self.path)} Make room or mend the disk, then "
                f"go on with: drit train --resume {self.path}"
            ) from error

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """While open, a loader process that ends raises DritError, which names the last whole checkpoint; so does an
        operation without a deterministic algorithm. That it ended shows where the next batch is asked for, or in the
        middle of anything else: a signal of the system then raises RuntimeError. The end of another process of the
        training raises DritError likewise."""
        try:
            yield
        except peers.LostPeerError as error:
            raise peers.LostPeerError(
                f"Training stopped at iteration {self.step}: another of its {peers.count()} processes ended, or did "
                f"not answer for {self.settings.peer_timeout} s (--peer-timeout). {files.last_whole(self.path)} Go on "
                f"from it: drit train --resume {self.path}, by as many processes as you like."
            ) from error
        except (RuntimeError, LoaderEndedError) as error:
            if "deterministic implementation" in str(error):
                raise DritError(
                    f"Training stopped at iteration {self.step}: {str(error).split(' does not')[0]} has no "
                    "deterministic algorithm on this device. Leave --deterministic out, or switch it off: "
                    f"drit train --resume {self.path} --no-deterministic"
                ) from error
            if not isinstance(error, LoaderEndedError) and "DataLoader worker" not in str(error):
                raise
            raise DritError(
                f"Training stopped at iteration {self.step}: a process that loads images was killed, perhaps for want "
                f"of memory. {files.last_whole(self.path)} Go on without such processes: drit train --resume "
                f"{self.path} --data.workers 0"
            ) from error

    def start_stream(self) -> int:
        """Open the stream of batches at the present position. Returns how many loader processes feed it."""
        settings = self.settings
        workers = choose_workers(settings.data, all(s.cached for s in self.sets.values()))
        self.stream = BatchStream(
            self.sets,
            settings.data,
            settings.batch,
            settings.seed,
            self.position,
            workers,
            self.method.capabilities.paired,
            (peers.rank(), peers.count()),
            self.masks,
        )
        return workers

    def iterate(self) -> dict[str, Tensor]:
        """One iteration: every update of the method, in order. Returns terms and totals, detached scalars."""
        settings, optim = self.settings, self.settings.optim
        start, end = self.method.stage(self.step, settings.steps)
        factor = rate_factor(self.step - start, end - start, optim.warmup, optim.decay_from, optim.halve_every)
        rates = self.method.learning_rates()
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = rates[name] * factor * self.safety.factor
        self._seed_layers(settings.seed * 1_000_003 + self.step)
        turns = turns_of(self.method, self._batches(), self.step, settings.seed)
        seen: dict[str, Tensor] = {}
        while (done := gradients(self.method, turns, seen, lambda: autocast(self.dtype, self.device))) is not None:
            networks, max_grad_norm, total = done
            weights = weights_of(self.method, networks)
            skip = self.safety.judge(networks, total, weights)
            if max_grad_norm:
                torch.nn.utils.clip_grad_norm_(weights, max_grad_norm)
            for n in networks:
                self.optimizers[n].step(skip=skip)
        self.step += 1
        self.safety.iterated()
        self.average.update(self.step)
        return seen

    def _seed_layers(self, seed: int) -> None:
        """For layers that draw by themselves (dropout). On a CPU its own generator is enough: `torch.manual_seed` notes
        down, for every kind of device that is not here, who called it, half a percent of a small step."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _batches(self) -> Iterator[Batch]:
        """Batches of (N, C, H, W) of each domain, on the device."""
        assert self.stream is not None
        while True:
            batch = next(self.stream)
            self.position += 1
            images = {
                d: x.to(self.device, memory_format=torch.channels_last, non_blocking=True)
                for d, x in batch.images.items()
            }
            labels = batch.masks if self.labels is None else self.labels[batch.places["a"]]
            yield Batch(images, None if labels is None else labels.to(self.device))

    def _tell_unsafe(self, bar: Bar, means: _Means) -> bool:
        """Say what was skipped, and whether anything was. Raises DivergedError where that was too much."""
        names = self.safety.read()
        if not names:
            return False
        terms = means.broken()
        if self.safety.diverged:
            self._diverged([f"a loss or gradient of {name}" for name in names], terms)
        of_terms = f" ({', '.join(terms[:NAMED])})" if terms else ""
        bar.say(
            f"iteration {self.step}: a loss or gradient of {', '.join(names)} was not finite{of_terms}; its step was "
            f"skipped ({self.safety.skipped} in all), and the learning rates are {self.safety.factor:g} times as large "
            f"for {RECOVERY} iterations"
        )
        return True

    def _diverged(self, names: list[str], terms: Sequence[str] = ()) -> NoReturn:
        """Raises DivergedError that names what is not finite, and the way on. terms: those that were not."""
        whole = files.checkpoints(self.run) if self.run else []
        careful = f"--optim.lr {self.settings.optim.lr / 2:g} (or --precision float32, or --optim.clip 5)"
        weight = weight_of(terms, [field.name for field in fields(self.settings.loss)])
        if weight:
            careful += f", or a smaller {flag_of(f'loss.{weight}')}"
        if whole:
            advice = (
                f"The last good checkpoint is {whole[-1]}. Go on from it more carefully: "
                f"drit train --resume {self.path} --allow-changes {careful}."
            )
        else:
            advice = f"No checkpoint was written yet: remove {self.run}, and start again with {careful}."
        broken = ", ".join([*names, *terms][:NAMED])
        raise DivergedError(f"Training diverged near iteration {self.step}: {broken} is not a finite number. {advice}")

    def save(self) -> None:
        """Write a checkpoint of this iteration and delete old ones. Raises DivergedError for weights not finite."""
        state = {
            "step": self.step,
            "position": self.position,
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "method": self.method.training_state(),
            "safety": self.safety.state(),
        }
        weights = self.method.state_dict()
        tensors = weights | {f"average of {name}": t for name, t in self.average.tensors.items()}
        broken = [f"weights {name}" for name, t in tensors.items() if not bool(torch.isfinite(t).all())]
        if broken:
            self._diverged(broken)
        depth = {d: s.depth for d, s in self.sets.items()}
        meta = describe(self.settings, self.channels, depth, {k: v for k, v in self.last.items() if math.isfinite(v)})
        meta["seconds"] = round(self.seconds, 1)
        files.save(self.path, self.step, weights, self.average.tensors, state, meta)
        with self._writing():
            files.prune(self.path, self.step, self.settings.log.keep, self.settings.log.keep_every)

    def write_samples(self) -> None:
        """A sample sheet of a few images of each domain, by the averaged weights if there are any."""
        path = RunFolder(self.path).sample(self.step)
        images = self.fixed_images(SAMPLE_IMAGES)
        with self.averaged():
            image = sample_sheet(self.method, images, self.settings.seed)
        with self._writing(path):
            path.parent.mkdir(exist_ok=True)
            save_sheet(image, path)

    def look(self, watch: Watch) -> dict[str, float]:
        """The watch's numbers, by the averaged weights if there are any."""
        with self.averaged():
            return watch.look(self.last)

    def fixed_images(self, count: int) -> dict[str, Tensor]:
        """Up to `count` images of each domain, spread evenly over it, cut in the middle: (N, C, H, W) in [-1, 1]."""
        images = {}
        for d, s in self.sets.items():
            chosen = np.linspace(0, len(s) - 1, min(count, len(s))).astype(int)
            crops = [to_tensor(centre_crop(s.get(int(i)), self.settings.data.crop)) for i in chosen]
            images[d] = torch.stack(crops).to(self.device, memory_format=torch.channels_last)
        return images

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, the method computes as translation does: averaged weights if there are any, no dropout, the run's
        precision."""
        self.method.eval()
        try:
            with self.average.in_place(), autocast(self.dtype, self.device):
                yield
        finally:
            self.method.train()

    def wait(self) -> None:
        """Until a GPU has done what it was told to; a CPU has already."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def chosen(self) -> dict[str, Any]:
        """What the settings left to the program: arithmetic, device, threads, as they are."""
        device = str(self.device)
        if self.device.type == "cuda":
            device += f" ({torch.cuda.get_device_name(self.device)})"
        threads = torch.get_num_threads()
        return {"precision": str(self.dtype).removeprefix("torch."), "device": device, "threads": threads}

    def _introduction(self, workers: int) -> str:
        counts = ", ".join(f"{d} {len(s)} images of {s.channels} channels" for d, s in self.sets.items())
        skipped = "".join(f"\nskipped: {why}" for s in self.sets.values() for why in s.skipped.values())
        notes = "".join(f"\nnote: {note}" for s in self.sets.values() for note in s.notes)
        chosen = self.chosen()
        shared = f" each, {peers.count()} processes" if peers.count() > 1 else ""
        millions = sum(p.numel() for p in self.method.parameters()) / 1e6
        return (
            f"{self.settings.method} ({self.settings.preset}): {counts}; {millions:.1f} M weights; "
            f"{chosen['precision']} on {chosen['device']}, {chosen['threads']} threads, "
            f"{workers} loader processes{shared}; iterations {self.step} to {self.settings.steps} into {self.path}"
            f"{skipped}{notes}"
        )
