"""What to try when the watch of a training finds a fault: what holds for every method. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drit.settings.common import OptimSettings
from drit.settings.groups import StyledGenerator

Cause = Literal[
    "styles_ignored",  # outputs of one input hardly differ between styles
    "styles_hidden",  # an encoder reads the style from outputs, but not from what is left of them after a low-pass
    "content_tells_domain",  # a linear probe reads the domain in the content codes
    "discriminators_win",  # far below their loss at chance
    "discriminators_guess",  # at their loss at chance, and the generators too
    "reconstruction_worse",  # than it was
]


@dataclass(frozen=True)
class Finding:
    """A fault that the watch found."""

    cause: Cause
    domain: str = ""  # the target domain, of faults that have one

    @property
    def name(self) -> str:
        """What warnings.jsonl calls it: `styles_ignored_b`."""
        return f"{self.cause}_{self.domain}" if self.domain else self.cause


def general_advice(optim: OptimSettings, finding: Finding) -> str | None:
    """What to try, for any method; None where that depends on the method. Continues a sentence after `try`."""
    match finding.cause:
        case "content_tells_domain":
            return "images of the domains that are closer in what they show"
        case "discriminators_win":
            return f"--optim.lr {optim.lr / 2:g}, or more images"
        case "discriminators_guess":
            return f"a larger --optim.lr than {optim.lr:g}"
        case "reconstruction_worse":
            return f"--optim.lr {optim.lr / 2:g}, --optim.clip 5, or --precision float32"
        case "styles_ignored" | "styles_hidden":
            return None


def smaller_discriminator(optim: OptimSettings, first: str = "") -> str:
    """What to try where discriminators win. first: what to try before."""
    narrower = "a smaller --network.discriminator-width (a new run)"
    general = general_advice(optim, Finding("discriminators_win"))
    return ", ".join(part for part in (first, narrower, general) if part)


def doubled(flag: str, weight: float, start: float) -> str:
    """A flag with twice its weight, or with `start` where it is off."""
    return f"{flag} {2 * weight if weight else start:g}"


def hidden_styles(network: StyledGenerator) -> str | None:
    """What to try where styles are hidden in details; None where both remedies are taken already."""
    upsample = "--network.upsample resize" if network.upsample == "transposed" else ""
    generator = "--network.generator film" if network.generator == "concat" else ""
    flags = " ".join(part for part in (generator, upsample) if part)
    return f"{flags} (a new run)" if flags else None
