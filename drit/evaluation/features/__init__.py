"""Feature networks: what images are compared with. Each number names the network that it comes from.

| name | what it is | needs |
|---|---|---|
| inception | Inception-v3, 2048 features: with it the Fréchet distance is FID | its weights file |
| alexnet, squeezenet | with the linear heads file, their distance is LPIPS | weights file[, heads file] |
| classifier | a classifier trained on labelled real images of the target domain | labels |
| domains | a small network trained on the real images of both domains | nothing |

network.py: one interface for all of them. published.py: those of files. trained.py: those trained here. shelf.py:
which of them an evaluation uses. files.py: tensors in files.
"""
