"""The smallest method: one convolution each way, learnt by cycle consistency."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "toy",
        "one convolution each way, learnt by cycle consistency",
        settings="drit_toy.settings:ToySettings",
        method="drit_toy.objective:Toy",
    ),
)
