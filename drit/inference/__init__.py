"""Use of a trained model. Knows runs and methods, and nothing of training.

translator.py: `Translator`, through which every use goes. files.py: translation of files. sampling.py: images drawn
from codes.
"""
