"""The training loop: runs any method, owns optimizers, devices, files and the way back after an interruption.

Everything random is a pure function of seed and position (weights: the seed; batches: the number of batches drawn;
noise: the iteration), so that N iterations in one go and N/2 + resume give the same bits.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from drit.data.folders import ImageSet
from drit.data.images import to_tensor
from drit.data.stream import BatchStream, choose_workers
from drit.data.transforms import centre_crop
from drit.errors import CheckpointError, DivergedError, UsageError
from drit.methods.base import Batch, Method
from drit.methods.noise import Noise
from drit.methods.registry import method_class
from drit.runs import checkpoint as files
from drit.runs.metrics import Metrics
from drit.runs.record import describe
from drit.runtime import autocast, choose, choose_device, cores, keep_freed_memory
from drit.settings.common import TrainSettings
from drit.training.optimizers import make_optimizers
from drit.training.progress import Bar
from drit.training.samples import sample_sheet
from drit.training.schedule import rate_factor
from drit.training.updates import Parts, gradients
from drit.training.watch import Watch

SAMPLE_IMAGES = 4


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended."""

    run: Path
    step: int
    finished: bool  # False: interrupted, saved
    losses: dict[str, float]  # the last ones, each update's total and each term


class _Due(NamedTuple):
    """What an iteration calls for."""

    look: bool  # of the watch
    log: bool
    sample: bool
    save: bool


class _Means:
    """Means of terms over iterations; nothing is read from a device before they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def values(self) -> dict[str, float]:
        return {name: float(v) / self._count for name, v in self._sums.items()}


class Trainer:
    """One run in progress. A context manager: leaving it stops loaders and closes files, whatever happened."""

    def __init__(self, config: TrainSettings, run: Path, sets: dict[str, ImageSet]) -> None:
        self.config = config
        self.path = run
        self.sets = sets
        self.device = choose_device(config.device)
        torch.set_num_threads(config.threads or cores())
        keep_freed_memory()
        self.dtype = choose(config.precision, self.device)
        self.channels = {d: s.channels for d, s in sets.items()}
        torch.manual_seed(config.seed)
        self.method: Method = method_class(config.method).build(config, self.channels)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.method.recompute = config.recompute
        self.optimizers = make_optimizers(self.method, config.optim)
        self._used = {  # weights that translation uses
            f"{network}.{name}": p
            for network in self.method.inference
            for name, p in getattr(self.method, network).named_parameters()
        }
        self.average: dict[str, Tensor] = self._current() if config.optim.ema else {}
        self.step = 0  # iterations done
        self.stream: BatchStream | None = None
        self.position = 0  # batches drawn
        self.seconds = 0.0  # of training, by the clock on the wall, over all calls
        self.last: dict[str, float] = {}
        self._stopping = False

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            self.stream.close()

    def _current(self) -> dict[str, Tensor]:
        """What a moving average starts from: the weights as they are."""
        return {name: p.detach().clone() for name, p in self._used.items()}

    def restore(self, found: Path) -> None:
        """Take up a checkpoint: weights, moving average, optimizers, positions."""
        meta = files.load_meta(found)
        if meta["method"] != self.config.method:
            raise CheckpointError(
                f"{found} is of the method '{meta['method']}', not '{self.config.method}'. Resume with its own method."
            )
        weights, average = files.load_weights(found)
        state = files.load_state(found)
        files.check_fit(self.method.state_dict(), weights, found)
        self.method.load_state_dict(weights)
        if set(state.get("optimizers", {})) != set(self.optimizers):
            raise CheckpointError(
                f"{found}/state.pt is of another run: its optimizers are not those of '{self.config.method}'."
            )
        if self.average:
            if average:
                files.check_names(set(self.average), set(average), found)
                self.average = {name: average[name].to(self.device) for name in self.average}
            else:  # switched on at a resume
                self.average = self._current()
        for name, optimizer in self.optimizers.items():
            rates = [group["lr"] for group in optimizer.param_groups]
            own = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
            optimizer.load_state_dict(state["optimizers"][name])
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group.update(own)  # settings come from the configuration, moments from the checkpoint
                group["lr"] = rate
        self.method.load_training_state(state.get("method", {}))
        self.seconds = meta.get("seconds", 0.0)
        self.step, self.position = state["step"], state["position"]

    def fit(self, stop_after: int | None = None) -> Outcome:
        """Iterate to `config.steps`, or until interrupted; a checkpoint is written either way."""
        config = self.config
        if self.step >= config.steps:
            raise UsageError(
                f"{self.path} is trained already: {self.step} of {config.steps} iterations. "
                f"Go on with more: drit train --resume {self.path} --steps {2 * self.step}"
            )
        end = config.steps if stop_after is None else min(config.steps, self.step + stop_after)
        workers = self.start_stream()
        metrics, bar = Metrics(self.path, config.log, self.step), Bar(config.steps, self.step)
        bar.say(self._introduction(workers))
        watch = Watch(self.path, config, self.method.at_chance(), self.fixed_images, self.step)
        means = _Means()
        told = {name for s in self.sets.values() for name in s.skipped}
        began = time.monotonic() - self.seconds
        try:
            with _Interrupt(self):
                while self.step < end and not self._stopping:
                    means.add(self.iterate())
                    self.seconds = time.monotonic() - began
                    self._tell_skipped(told, bar)
                    due = self._due(end)
                    if due.log or due.save or self.device.type == "cpu":
                        self.last = means.values()
                        self._check_finite()
                        bar.update(self.step, {n: v for n, v in self.last.items() if n.startswith("total/")})
                    if due.log:
                        self._log(metrics, watch if due.look else None, bar)
                        means = _Means()
                    if due.sample:
                        self.write_samples()
                    if due.save:
                        self.save()
        finally:
            metrics.close()
            bar.close()
        return Outcome(self.path, self.step, self.step >= config.steps, self.last)

    def _due(self, end: int) -> _Due:
        """What this iteration calls for; `end`: the last one of this call."""
        log, last = self.config.log, self.step == end

        def turn(every: int) -> bool:
            return every > 0 and self.step % every == 0

        # before the last stage, what translates has learnt nothing yet
        final = self.method.stage(self.step - 1, self.config.steps)[1] == self.config.steps
        look = turn(log.watch_every) and final
        ending = last or self._stopping
        sample = bool(log.sample_every) and (turn(log.sample_every) or last)
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
        metrics.write(self.step, values)
        for words in watch.judge(self.step, values) if watch else ():
            bar.say(words)

    def start_stream(self) -> int:
        """Open the stream of batches at the present position. Returns how many loader processes feed it."""
        config = self.config
        workers = choose_workers(config.data, all(s.cached for s in self.sets.values()))
        self.stream = BatchStream(
            self.sets, config.data, config.batch, config.seed, self.position, workers, self.method.paired
        )
        return workers

    def iterate(self) -> dict[str, Tensor]:
        """One iteration: every update of the method, in order. Returns terms and totals, detached, on the device."""
        config, optim = self.config, self.config.optim
        start, end = self.method.stage(self.step, config.steps)
        factor = rate_factor(self.step - start, end - start, optim.warmup, optim.decay_from, optim.halve_every)
        rates = self.method.learning_rates(optim)
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = rates[name] * factor
        self._seed_layers(config.seed * 1_000_003 + self.step)
        parts = config.accumulate
        batches = Parts(self._batches(), parts)
        turns = [
            self.method.updates(batches.of(k), self.step, Noise(config.seed, self.step, k, parts), frugal=parts > 1)
            for k in range(parts)
        ]
        seen: dict[str, Tensor] = {}
        while (done := gradients(self.method, turns, seen, lambda: autocast(self.dtype, self.device))) is not None:
            networks, max_grad_norm = done
            if max_grad_norm:
                parameters = [p for n in networks for p in getattr(self.method, n).parameters()]
                torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
            for n in networks:
                self.optimizers[n].step()
        self.step += 1
        if self.average:
            decay = min(config.optim.ema, (1 + self.step) / (10 + self.step))  # young averages follow quickly
            averages = [self.average[name] for name in self._used]
            torch._foreach_lerp_(averages, [p.detach() for p in self._used.values()], 1 - decay)
        return seen

    def _seed_layers(self, seed: int) -> None:
        """For layers that draw by themselves (dropout). On a CPU its own generator is enough: `torch.manual_seed` notes
        down, for every kind of device that is not here, who called it, half a percent of a small step."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _batches(self) -> Iterator[Batch]:
        assert self.stream is not None
        while True:
            batch = next(self.stream)
            self.position += 1
            yield {
                d: x.to(self.device, memory_format=torch.channels_last, non_blocking=True)
                for d, x in batch.images.items()
            }

    def _check_finite(self) -> None:
        bad = [name for name, value in self.last.items() if not math.isfinite(value)]
        if not bad:
            return
        whole = files.checkpoints(self.path)
        careful = f"--optim.lr {self.config.optim.lr / 2:g} (or --precision float32, or --optim.clip 5)"
        if whole:
            advice = (
                f"The last good checkpoint is {whole[-1]}. Go on from it more carefully: "
                f"drit train --resume {self.path} --allow-changes {careful}."
            )
        else:
            advice = f"No checkpoint was written yet: remove {self.path}, and start again with {careful}."
        raise DivergedError(
            f"Training diverged near iteration {self.step}: {', '.join(bad[:4])} is not a finite number. {advice}"
        )

    def save(self) -> None:
        """Write a checkpoint of this iteration and delete old ones."""
        state = {
            "step": self.step,
            "position": self.position,
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "method": self.method.training_state(),
        }
        weights = self.method.state_dict()
        broken = [name for name, t in weights.items() if not bool(torch.isfinite(t).all())]
        if broken:
            self.last = {f"weights {broken[0]}": math.nan}
            self._check_finite()
        depth = {d: s.depth for d, s in self.sets.items()}
        meta = describe(self.config, self.channels, depth, {k: v for k, v in self.last.items() if math.isfinite(v)})
        meta["seconds"] = round(self.seconds, 1)
        files.save(self.path, self.step, weights, self.average, state, meta)
        files.prune(self.path, self.config.log.keep, self.config.log.keep_every)

    def write_samples(self) -> None:
        """A sample sheet of the first images of each domain, by the averaged weights if there are any."""
        path = self.path / "samples" / f"step_{self.step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        images = self.fixed_images(SAMPLE_IMAGES)
        with self.averaged():
            sample_sheet(self.method, images, path, self.config.seed)

    def look(self, watch: Watch) -> dict[str, float]:
        """The watch's numbers, by the averaged weights if there are any."""
        with self.averaged():
            return watch.look(self.method, self.last)

    def fixed_images(self, count: int) -> dict[str, Tensor]:
        """Up to `count` images of each domain, spread evenly over it, cut in the middle: (N, C, H, W) in [-1, 1]."""
        images = {}
        for d, s in self.sets.items():
            chosen = np.linspace(0, len(s) - 1, min(count, len(s))).astype(int)
            crops = [to_tensor(centre_crop(s.get(int(i)), self.config.data.crop)) for i in chosen]
            images[d] = torch.stack(crops).to(self.device, memory_format=torch.channels_last)
        return images

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, the method computes as translation does: averaged weights if there are any, no dropout, the run's
        precision."""
        kept = {name: p.data for name, p in self._used.items()}
        self._place(self.average)
        self.method.eval()
        try:
            with autocast(self.dtype, self.device):
                yield
        finally:
            self.method.train()
            self._place(kept)

    def _place(self, weights: dict[str, Tensor]) -> None:
        for name, data in weights.items():
            self._used[name].data = data

    def wait(self) -> None:
        """Until a GPU has done what it was told to; a CPU has already."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def stop(self) -> None:
        """Finish the iteration at hand, save and return."""
        self._stopping = True

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
        chosen = self.chosen()
        millions = sum(p.numel() for p in self.method.parameters()) / 1e6
        return (
            f"{self.config.method} ({self.config.preset}): {counts}; {millions:.1f} M weights; "
            f"{chosen['precision']} on {chosen['device']}, {chosen['threads']} threads, "
            f"{workers} loader processes; iterations {self.step} to {self.config.steps} into {self.path}{skipped}"
        )


class _Interrupt:
    """While open, the first ctrl-C or SIGTERM stops the trainer after the iteration, the second at once."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._trainer._stopping:
            raise KeyboardInterrupt
        print("\nStopping after this iteration (again: at once, without saving).", file=sys.stderr, flush=True)
        self._trainer.stop()
