"""A CycleGAN makes the pairs that BicycleGANs learn from, a baseline of DRIT's paper."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "cycle-bicycle",
        "a CycleGAN makes the pairs that BicycleGANs learn from, a baseline of DRIT's paper",
        settings="drit.methods.cycle_bicycle.settings:CycleBicycleSettings",
        method="drit.methods.cycle_bicycle.objective:CycleBicycle",
    ),
)
