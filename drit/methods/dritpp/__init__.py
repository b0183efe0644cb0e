"""DRIT for several domains, with mode seeking (arXiv 1905.01270)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "drit++",
        "DRIT for several domains, with mode seeking (arXiv 1905.01270)",
        settings="drit.methods.dritpp.settings:DRITPPSettings",
        method="drit.methods.dritpp.objective:DRITPP",
    ),
)
