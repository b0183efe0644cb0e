"""Pages and plots for people, from what runs and evaluations wrote.

run.py, evaluation.py, comparison.py, gallery.py, doctor.py: the pages. pages.py and templates/: how a page is written.
plots.py and svg.py: every plot. curves.py and samples.py: parts of the page of a run.
"""
