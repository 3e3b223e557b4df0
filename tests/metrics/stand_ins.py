"""Small things in the place of networks: what they see is easy to compute again."""

import jax
import numpy as np

from stylegan_jax import models
from stylegan_jax.metrics import collected, evaluation, generated_images, request
from stylegan_jax.metrics.networks.detector import Features
from stylegan_jax.metrics.result import Result
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.parallel import Parallel
from tests import tiny


class Projection:
    """A detector: a random linear map of pixels in 0 to 1."""

    name, resize = "projection", "none"

    def __init__(self, dimensions: int = 5, seed: int = 0):
        self.dimensions, self.digest = dimensions, f"{seed:064x}"
        self._rng_seed = seed
        self.seen = 0  # images

    def __call__(self, images: np.ndarray) -> Features:
        assert images.dtype == np.uint8
        self.seen += len(images)
        pixels = images.reshape(len(images), -1) / 255
        matrix = np.random.default_rng(self._rng_seed).normal(
            size=(pixels.shape[1], self.dimensions)
        )
        pool = (pixels @ matrix / 8).astype(np.float32)
        return Features(pool, 2 * pool[:, :3])


class SquaredError:
    """A distance: the mean squared difference."""

    name, digest = "squared error", "00"

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert a.dtype == b.dtype == np.float32
        return np.mean(np.square(a.astype(np.float64) - b), axis=(1, 2, 3))


def brightness(images: np.ndarray) -> np.ndarray:
    """A classifier of two attributes: bright, and left brighter than right."""
    bright = images.mean(axis=(1, 2, 3)) - 127.5
    half = images.shape[2] // 2
    left = images[:, :, :half].mean(axis=(1, 2, 3))
    right = images[:, :, half:].mean(axis=(1, 2, 3))
    return np.stack([bright, left - right], axis=1)


def subject(
    devices: Parallel, classes: int = 0, seed: int = 0
) -> generated_images.Subject:
    """An untrained generator of 16x16."""
    e = tiny.experiment()
    generator, _ = models.build(e.model, e.data, classes)
    labels = np.zeros((1, classes), np.float32) if classes else None
    z = np.zeros((1, generator.z_dim), np.float32)
    variables = jax.jit(generator.init)(jax.random.key(seed), z, labels)
    variables = devices.replicate(jax.device_get(variables))
    return generated_images.Subject(
        "untrained", generator, variables, LevelOfDetail(16)
    )


def means(devices: Parallel, **changes) -> request.Means:
    settings = {
        "devices": devices,
        "networks": collected.Networks(Projection(), SquaredError()),
        "attributes": brightness,
        "cache": None,
        "batch_size": 16,
        "show_progress": lambda *_: None,
    }
    return request.Means(**settings | changes)


def take(asked: request.Asked, means: request.Means) -> list[Result]:
    """All results; none of the metrics may fail."""
    taken = list(evaluation.evaluate(asked, means))
    assert {t.metric: t.failure for t in taken} == dict.fromkeys(asked.metrics)
    return [result for t in taken for result in t.results]
