"""The run folder. Only this package knows which files lie in a run.

folder.py: the names of its files. checkpoint.py: checkpoints. integrity.py: their hashes. lock.py: one writer at a
time. reading.py: files that may be damaged. record.py: config.json and meta.json. metrics.py: numbers as JSON lines.
warnings.py: what the watch said. run.py: all of it, read for people.
"""
