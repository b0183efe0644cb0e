"""What is wrong with the images of a training, before it starts.

facts.py: every image looked at once, and kept in a cache. near.py: images that are almost the same. findings.py: what
the facts mean. clean.py: a copy of the images without what spoils a training.
"""
