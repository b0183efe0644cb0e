"""Images: files, domains, crops, and the stream of batches.

images.py: what others use of image files. containers.py, decoders.py, tiff.py: what a file is, and its pixels.
pixels.py: channels, transparency, tensors. ranges.py: bands and ranges. arrays.py: array files. folders.py and
imageset.py: a domain. pairs.py: paired domains. labelled.py: labelled sets. fingerprints.py: hashes of images.
doctor/: what is wrong with the images of a training. transforms.py: resizing and crops. stream.py: batch k of a
training. demo.py and emoji.py: small real domains to try.
"""
