"""Networks: pure modules that know nothing of training.

encoders.py, decoders.py, discriminators.py: of DRIT and of several methods. resnet.py, unet.py: generators of others.
layers.py, upsample.py, init.py: parts and initial weights. fast.py, fast_unet.py: the same numbers in less time.
"""
