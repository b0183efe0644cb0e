"""A labelled set carried into the other domain, labels kept.

augment.py: the whole of it. settings.py: what is asked for. units.py: the pieces of work, and rendering one.
arrays.py and folders.py: how an array file or a folder of images is written. filter.py: which translations are kept.
record.py: augment.json, which tells what work a folder holds.
"""
