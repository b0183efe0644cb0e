"""Measuring a trained model.

protocol.py: what is measured. measure.py: one evaluation; session.py and summary.py: its work and its numbers.
comparison.py and seeds.py: several runs. intervals.py and bootstrap.py: how sure a number is. images.py: real images.
gathered.py: what is kept of outputs. metrics/: one metric, one file. features/: the networks that see the images.
"""
