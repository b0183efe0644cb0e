"""Disentangled content and attribute codes, two domains, many outputs (arXiv 1808.00948)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "drit",
        "disentangled content and attribute codes, two domains, many outputs (arXiv 1808.00948)",
        settings="drit.methods.drit.settings:DRITSettings",
        method="drit.methods.drit.objective:DRIT",
        importer="drit.methods.drit.importer:imported",
    ),
)
