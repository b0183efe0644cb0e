"""One latent code of both domains, one output (arXiv 1703.00848)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "unit",
        "one latent code of both domains, one output (arXiv 1703.00848)",
        settings="drit.methods.unit.settings:UNITSettings",
        method="drit.methods.unit.objective:UNIT",
    ),
)
