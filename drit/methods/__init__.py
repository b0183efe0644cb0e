"""Methods: networks plus an objective, a package each.

base.py: the contract. entry.py and registry.py: how a method is found. noise.py: random numbers of an iteration.
advice.py: what to try, for every method. steps.py and image_pool.py: what several methods use. cost.py and table.py:
what a method can do and costs. imported.py: what an importer gives.
"""
