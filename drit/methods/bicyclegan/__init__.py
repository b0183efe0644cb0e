"""A U-Net with codes that learns from pairs, many outputs (arXiv 1711.11586)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "bicyclegan",
        "a U-Net with codes that learns from pairs, many outputs (arXiv 1711.11586)",
        settings="drit.methods.bicyclegan.settings:BicycleGANSettings",
        method="drit.methods.bicyclegan.objective:BicycleGAN",
    ),
)
