"""One metric in each file, on arrays of features: no images, no networks, no files.

A sample is (n, D) float64, a row for each image. Optional weights (n,) say how often each row counts, for the
bootstrap; without them each row counts once.

| file | metric |
|---|---|
| frechet.py | Fréchet distance of two Gaussians (FID with Inception's features) |
| kid.py | kernel Inception distance |
| ndb_jsd.py | number of different bins, Jensen-Shannon divergence |
| perceptual.py | perceptual distance (LPIPS) |
| distances.py, k_means.py | what several of them need |
"""
