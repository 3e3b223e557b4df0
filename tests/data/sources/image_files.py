"""Image files for tests, and the reading of sources."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow


def random_image(size=(16, 16), mode="RGB", seed=0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = [size[1], size[0], bands]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode)


def write_images(root, names, size=(16, 16), mode="RGB"):
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        random_image(size, mode, seed).save(root / name)


def folder(path, **changes):
    settings = {"source": "folder", "path": str(path), "resolution": 16} | changes
    return config.Data(**settings)


def read(source, index=0):
    tf = tensorflow()
    image, label = source.load(tf.constant(index, tf.int64))
    label = label.numpy()
    assert label.dtype == np.float32 and label.shape == (source.label_size,)
    if not source.label_size:
        return image.numpy(), 0
    assert sorted(label) == [0] * (len(label) - 1) + [1]
    return image.numpy(), int(label.argmax())


def failure(data) -> str:
    with pytest.raises(ValueError) as error:
        open_source(data)
    return str(error.value)
