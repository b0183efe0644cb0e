"""Before the first iteration: images opened, settings checked and completed; what a run records of itself."""

from __future__ import annotations

from dataclasses import replace

from drit.data.folders import ImageSet, open_domain, source_name
from drit.data.pairs import align
from drit.data.ranges import with_ranges
from drit.errors import UsageError
from drit.methods.registry import method_class, without_pairs
from drit.settings.common import NetworkSettings, TrainSettings
from drit.settings.schema import check_ranges, concerns


def open_sets(config: TrainSettings) -> dict[str, ImageSet]:
    """The domains of a configuration, checked. Raises DataError or UsageError for what cannot be trained on."""
    check_ranges(config)
    method, data = method_class(config.method), config.data
    sources = data.sources()
    _check_count(config, sources)
    _check_names(config, sources)
    sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    if method.domains[1] > 2 and len({s.channels for s in sets.values()}) > 1:  # one encoder for all
        most = max(s.channels for s in sets.values())
        data = replace(data, channels_a=most, channels_b=most)
        sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    seen: dict[str, str] = {}
    for d, s in sets.items():
        other = seen.setdefault(s.fingerprint()["sha256"], d)
        if other != d:
            flags = "--data.domains" if data.domains else f"--data.{other} and --data.{d}"
            raise UsageError(f"Domains {other} and {d} are the same images: nothing to translate. Check {flags}.")
    advice = f"To learn without pairs, choose one of {', '.join(without_pairs())} with --method."
    return align(sets, config.method, advice) if method.paired else sets


def _check_count(config: TrainSettings, sources: dict[str, str]) -> None:
    """Raises UsageError when the data settings do not name as many domains as the method takes."""
    method, data = method_class(config.method), config.data
    fewest, most = method.domains
    given = [name for name in ("domains", "pairs") if getattr(data, name)]
    given += [name for name in ("a", "b") if getattr(data, name)][: 1 if given else 0]
    if len(given) > 1:
        raise UsageError(f"--data.{given[0]} names all images: leave --data.{given[1]} out.")
    if data.pairs and not method.paired:
        raise UsageError(
            f"--data.pairs is for methods that learn from pairs; {config.method} does not. Give --data.a and --data.b."
        )
    if data.domains and most <= 2:
        raise UsageError(f"{config.method} knows domains a and b alone: give --data.a and --data.b in their place.")
    if len(data.domains) > most:
        raise UsageError(f"--data.domains names {len(data.domains)} domains; at most {most} are possible.")
    if data.domains and len(data.domains) < fewest:
        raise UsageError(
            f"--data.domains names {len(data.domains)} domain: {config.method} translates between at least {fewest}. "
            "Give the folders or .npz files of all domains: --data.domains DIR DIR ..."
        )
    for d in "ab"[:fewest]:
        if d not in sources:
            raise UsageError(f"No images of domain {d}: give a folder or .npz file with --data.{d}")
    if len(sources) > most:
        raise UsageError(f"{config.method} learns from one set of images: leave --data.b out.")


def _check_names(config: TrainSettings, sources: dict[str, str]) -> None:
    """Raises UsageError where the name of a folder is the letter of another domain: --to could mean either."""
    for d, path in sources.items():
        name = source_name(path)
        if name in sources and name != d and not method_class(config.method).paired:  # these go one way alone
            raise UsageError(
                f"The images of domain {d} are called '{name}' ({path}), which is the letter of another domain: "
                f"--to {name} could mean either. Give them as domain {name}, or rename them."
            )


def settled(config: TrainSettings, sets: dict[str, ImageSet]) -> TrainSettings:
    """The configuration with what was left to be found out: channels as the files have them, ranges; checked values."""
    network = config.network
    if not network.style_dim and concerns(NetworkSettings, "style_dim", config.method):
        raise UsageError(f"--network.style-dim 0: {config.method} has styles, of at least 1 number.")
    if config.loss.all_off(config.method):
        raise UsageError(f"All weights of {config.method}'s losses are 0: there is nothing to learn. Set --loss.NAME.")
    if config.recompute and network.spectral_norm:
        raise UsageError(
            "--recompute runs layers twice, and spectral normalisation goes a step further each time: leave out one of "
            "them. --accumulate saves memory too."
        )
    if config.batch % config.accumulate:
        raise UsageError(
            f"--accumulate {config.accumulate} must divide the batch of {config.batch}: parts are of equal size."
        )
    if config.optim.split_batch and config.batch < 2 * config.accumulate:
        raise UsageError(
            "--optim.split-batch needs a batch of at least 2, in each part with --accumulate: one half is encoded, the "
            "other judged against."
        )
    halved = 1 << network.downsamplings
    if concerns(NetworkSettings, "downsamplings", config.method) and config.data.crop % halved:
        below, above = config.data.crop // halved * halved, -(-config.data.crop // halved) * halved
        raise UsageError(
            f"--data.crop {config.data.crop} cannot be halved --network.downsamplings {network.downsamplings} "
            f"times and doubled again: take {f'{below} or ' if below else ''}{above}."
        )
    method_class(config.method).check(config)
    channels_a, channels_b = (sets[d].channels if d in sets else 0 for d in "ab")
    data = replace(config.data, channels_a=channels_a, channels_b=channels_b)
    return replace(config, data=with_ranges(data, {d: s.reading.value_range for d, s in sets.items()}))
