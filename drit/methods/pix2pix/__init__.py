"""A U-Net that learns from pairs, one output (arXiv 1611.07004)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "pix2pix",
        "a U-Net that learns from pairs, one output (arXiv 1611.07004)",
        settings="drit.methods.pix2pix.settings:Pix2PixSettings",
        method="drit.methods.pix2pix.objective:Pix2Pix",
    ),
)
