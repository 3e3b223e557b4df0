"""The emoji in two orders, as reals and as what is compared with them."""

import numpy as np

from stylegan_jax.metrics import request, table
from stylegan_jax.metrics.collected import on_white
from stylegan_jax.metrics.image_sets import RealImages


def all_images(images, count):
    """The first images of a set, [count,H,W,3], and their labels."""
    parts, have = [], 0
    for batch in images.batches(16):
        parts.append(batch)
        have += len(batch[0])
        if have >= count:
            break
    pictures, labels = (np.concatenate(x)[:count] for x in zip(*parts, strict=True))
    return on_white(pictures), labels


def two_sets(devices, emoji, names, **changes):
    """The emoji, in two orders."""
    sets = [RealImages(emoji, devices, seed, "exact") for seed in (0, 1)]
    settings = {
        "metrics": table.find(names),
        "reals": sets[0],
        "generated": sets[1],
        "images": 48,
        "seed": 0,
        "checkpoint": {},
    }
    return request.Asked(**settings | changes)
