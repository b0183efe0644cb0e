"""The run folder. Only this package knows which files lie in a run.

checkpoint.py: checkpoints. record.py: config.json and meta.json. metrics.py: numbers as JSON lines. warnings.py: what
the watch said. run.py: all of it, read for people.
"""
