"""Draws images from codes found without labels, one domain (arXiv 1606.03657)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "infogan",
        "draws images from codes found without labels, one domain (arXiv 1606.03657)",
        settings="drit.methods.infogan.settings:InfoGANSettings",
        method="drit.methods.infogan.objective:InfoGAN",
    ),
)
