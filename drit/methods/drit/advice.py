"""What to try when the watch of a training of DRIT finds a fault. Imports no torch."""

from __future__ import annotations

from drit.methods.advice import Finding, doubled, general_advice, hidden_styles, smaller_discriminator
from drit.methods.drit.settings import DRITSettings


def advice(settings: DRITSettings, finding: Finding) -> str | None:
    """What to try; continues a sentence after `try`."""
    network, loss, general = settings.network, settings.loss, general_advice(settings.optim, finding)
    scaled = "--network.init scaled (a new run)" if network.init == "published" else ""
    match finding.cause:
        case "styles_ignored":
            feature = "--network.generator feature (a new run)" if network.generator == "concat" else ""
            options = (scaled, doubled("--loss.mode-seeking", loss.mode_seeking, 0.3), feature)
            return ", or ".join(option for option in options if option)
        case "styles_hidden":
            return hidden_styles(settings.network)
        case "content_tells_domain":
            return f"{doubled('--loss.content-adversarial', loss.content_adversarial, 1.0)}, or {general}"
        case "discriminators_win":
            return smaller_discriminator(settings.optim, "--network.spectral-norm")
        case "discriminators_guess":
            return f"{scaled}, or {general}" if scaled else general
        case _:
            return general
