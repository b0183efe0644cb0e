"""Content and style codes by adaptive instance normalisation, many outputs (arXiv 1804.04732)."""

from drit.methods.entry import Entry

METHODS = (
    Entry(
        "munit",
        "content and style codes by adaptive instance normalisation, many outputs (arXiv 1804.04732)",
        settings="drit.methods.munit.settings:MUNITSettings",
        method="drit.methods.munit.objective:MUNIT",
    ),
)
