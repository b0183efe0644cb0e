"""What to try when the watch of a training of DRIT++ finds a fault. Imports no torch."""

from __future__ import annotations

from drit.methods.advice import Finding, doubled, general_advice, hidden_styles, smaller_discriminator
from drit.methods.dritpp.settings import DRITPPSettings


def advice(settings: DRITPPSettings, finding: Finding) -> str | None:
    """What to try; continues a sentence after `try`."""
    loss, general = settings.loss, general_advice(settings.optim, finding)
    match finding.cause:
        case "styles_ignored":
            return doubled("--loss.mode-seeking", loss.mode_seeking, 0.3)
        case "styles_hidden":
            return hidden_styles(settings.network)
        case "content_tells_domain":
            return f"{doubled('--loss.content-adversarial', loss.content_adversarial, 1.0)}, or {general}"
        case "discriminators_win":
            return smaller_discriminator(settings.optim, "--network.spectral-norm")
        case _:
            return general
