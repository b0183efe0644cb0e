"""Small models that tell what images or codes hold.

classifier.py: a convolutional classifier of images. linear.py: linear probes of codes. matching.py: categories found
without labels, against classes.
"""
