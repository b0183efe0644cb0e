"""Cycle consistency, one output (arXiv 1703.10593)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "cyclegan",
        "cycle consistency, one output (arXiv 1703.10593)",
        settings="drit.methods.cyclegan.settings:CycleGANSettings",
        method="drit.methods.cyclegan.objective:CycleGAN",
    ),
    Entry(
        "cyclegan-noise",
        "CycleGAN with a random code, the ablation of DRIT's paper",
        settings="drit.methods.cyclegan.settings:NoiseSettings",
        method="drit.methods.cyclegan.objective:CycleGAN",
    ),
)
