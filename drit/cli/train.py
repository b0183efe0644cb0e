"""`drit train`: a new run, with random weights or those of another one, or a run to go on with."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drit.cli.options import INTERRUPTED, command, show
from drit.errors import DritError, UsageError
from drit.runs.folder import RunFolder
from drit.training.interrupt import HURRIED, RESUME_ME, Interrupt, seconds_of

if TYPE_CHECKING:
    from drit.training.trainer import Outcome


def add(commands: Any) -> None:
    parser = command(
        commands,
        "train",
        "train a model on two folders of unpaired images, or go on with a run",
        train,
        "examples:\n"
        "  drit train --data.a photos/summer --data.b photos/winter --out runs/seasons\n"
        "  drit train --data.a digits.npz --data.b colour.npz --out runs/digits --preset digits\n"
        "  drit train --resume runs/seasons --steps 200000\n"
        "  drit train --start-from runs/seasons --data.a alps/summer --data.b alps/winter --out runs/alps\n\n"
        "Ctrl-C finishes the iteration and saves. So do SIGTERM, SIGUSR1 and SIGUSR2, and --time-limit: then the exit\n"
        "code is 75, which says 'resume me'. Several processes share each batch under torchrun (docs/machines.md):\n"
        "  torchrun --nproc-per-node 4 --max-restarts 3 -m drit train ... --out RUN\n\n"
        "Every setting below is a flag; [..] is its value in the preset.\n"
        "These are the settings of one method: --method NAME --help shows those of another.",
        with_settings=True,
    )
    parser.usage = (
        "drit train --data.a DIR --data.b DIR --out RUN [--method NAME] [--preset NAME] [--ANY.SETTING VALUE ...]\n"
        "       drit train --resume RUN [--steps N] [--ANY.SETTING VALUE ...]\n"
        "       drit train --start-from RUN [--start-networks NAME ...] --data.a DIR --data.b DIR --out RUN [...]"
    )
    parser.add_argument("--out", metavar="RUN", help="folder of the new run")
    parser.add_argument("--resume", metavar="RUN", help="go on with this run, bit-exactly on a CPU")
    parser.add_argument(
        "--start-from",
        metavar="RUN",
        help="begin a new run with the weights of this run or checkpoint, its method and sizes of networks",
    )
    parser.add_argument(
        "--start-networks", nargs="+", default=[], metavar="NAME", help="only with the weights of these networks"
    )
    parser.add_argument(
        "--or-resume",
        action="store_true",
        help="with --out: go on with RUN if it is a run already, so that one command starts and restarts; under "
        "torchrun, a restart does so by itself",
    )
    parser.add_argument("--allow-changes", action="store_true", help="resume although settings or images changed")
    parser.add_argument("--config", metavar="FILE", help="JSON file of settings (a run's config.json serves)")
    parser.add_argument(
        "--time-limit",
        metavar="TIME",
        help="save and stop before so much time has passed, such as 90m, 2h or 1h30m, with exit code 75 ('resume me')",
    )


def train(values: argparse.Namespace) -> int:
    if values.resume and values.start_from:
        raise UsageError("Give either --resume (go on with a run) or --start-from (a new run with its weights).")
    if bool(values.out) == bool(values.resume):
        raise UsageError("Give either --out (a new run) or --resume (a run to go on with).")
    if values.start_networks and not values.start_from:
        raise UsageError("--start-networks needs --start-from: the run that these networks are of.")
    if values.or_resume and not values.out:
        raise UsageError("--or-resume needs --out: the run to begin or to go on with.")
    from drit import peers

    restarted = bool(values.out) and (values.or_resume or peers.restarts() > 0)
    resumes = values.resume or (restarted and RunFolder(Path(values.out)).is_run)
    with Interrupt(seconds_of(values.time_limit) if values.time_limit else math.inf) as interrupt:
        outcome = _resume(values, interrupt) if resumes else _start(values, interrupt)
    hurried = outcome.stopped in HURRIED
    code = RESUME_ME if hurried else 0 if outcome.finished else INTERRUPTED
    if peers.launched() > 1:
        code = 0  # a launcher would take any other for a failure, and start the training again at once
        if peers.launched_rank():
            return code  # the first process speaks for all
    message = f"{'Done' if outcome.finished else 'Stopped'} at iteration {outcome.step}: {outcome.run}"
    if outcome.finished:
        message += f"\n{_next(outcome)}"
    else:
        message += f"\nSaved. Go on: drit train --resume {outcome.run}"
    report = "" if hurried else _report(outcome.run)
    if report:
        message += f"\nReport: {report}"
    result = {"run": str(outcome.run), "step": outcome.step, "finished": outcome.finished, "losses": outcome.losses}
    show(values, result | {"stopped": outcome.stopped, "report": report}, message)
    return code


def _start(values: argparse.Namespace, interrupt: Interrupt) -> Outcome:
    """A new run, with random weights or those of another run."""
    from drit.cli.flags import settings

    if not values.start_from:
        chosen = settings(values)
        from drit.training import launch

        return launch.train(chosen, Path(values.out), interrupt=interrupt)
    from drit.runs.checkpoint import find, load_meta
    from drit.runs.record import settings_of_meta
    from drit.training import launch

    source = Path(values.start_from)
    checkpoint = find(source)
    base = None
    if not values.config and not hasattr(values, "settings:preset"):
        recorded = settings_of_meta(checkpoint, load_meta(checkpoint))
        if recorded.method == values.shown.method:  # sizes that fit, where nothing else was asked for
            base = replace(values.shown, network=recorded.network)
    return launch.train(
        settings(values, base),
        Path(values.out),
        start_from=source,
        start_networks=values.start_networks,
        interrupt=interrupt,
    )


def _resume(values: argparse.Namespace, interrupt: Interrupt) -> Outcome:
    """A run that goes on, by --resume, or by --out where it is there already: then with its own settings, but for
    single flags."""
    if values.resume and hasattr(values, "settings:preset"):
        raise UsageError("A run keeps its preset: leave --preset out, or give single flags with --allow-changes.")
    from drit.cli.flags import settings
    from drit.runs.record import recorded_settings
    from drit.training import launch

    run = Path(values.resume or values.out)
    if not values.resume:
        values.config = None
    launch.check_resumable(run)  # says what is there instead, if it is no run
    return launch.resume(run, settings(values, recorded_settings(run)), values.allow_changes, interrupt=interrupt)


def _next(outcome: Outcome) -> str:
    """What a finished run is for."""
    able = outcome.capabilities
    if not able.directions:
        return f"Draw images with it: drit sample {outcome.run} --out DIR"
    styles = " --styles 5" if able.style_dim else ""
    return f"Translate with it: drit translate {outcome.run} IMAGES --to {able.directions[-1]} --out DIR{styles}"


def _report(run: Path) -> str:
    """The run's report, written; empty, and the reason told, where that fails: the training is saved all the same."""
    from drit.reports.run import write_report

    try:
        return str(write_report(run)["report"])
    except DritError as error:
        print(f"No report: {error}", file=sys.stderr)
        return ""
