"""Small image sets, and stand-ins for networks that are easy to compute again."""

import functools

import jax
import numpy as np

from stylegan_jax import models
from stylegan_jax.metrics import evaluation, registry
from stylegan_jax.metrics.context import EvalContext, EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.networks.detector import Features
from stylegan_jax.metrics.results import MetricFailure, MetricResult
from stylegan_jax.metrics.statistics import Networks
from stylegan_jax.models import LevelOfDetail, stylegan1
from stylegan_jax.runtime.image_io import rgb_on_white
from stylegan_jax.runtime.parallel import Parallel
from tests import tiny


class Projection:
    """A detector: a random linear map of pixels in 0 to 1."""

    name, resize = "projection", "none"

    def __init__(self, dimensions: int = 5, seed: int = 0):
        self.dimensions, self.digest = dimensions, f"{seed:064x}"
        self._seed = seed
        self.seen = 0  # images

    def __call__(self, images: np.ndarray) -> Features:
        assert images.dtype == np.uint8
        self.seen += len(images)
        pixels = images.reshape(len(images), -1) / 255
        matrix = np.random.default_rng(self._seed).normal(
            size=(pixels.shape[1], self.dimensions)
        )
        pool = (pixels @ matrix / 8).astype(np.float32)
        return Features(pool, 2 * pool[:, :3])


class SquaredError:
    """A perceptual distance: the mean squared difference."""

    name, digest = "squared error", "00"

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert a.dtype == b.dtype == np.float32
        return np.mean(np.square(a.astype(np.float64) - b), axis=(1, 2, 3))


def brightness(images: np.ndarray) -> np.ndarray:
    """A classifier of two attributes: bright, and brighter left than right."""
    bright = images.mean(axis=(1, 2, 3)) - 127.5
    half = images.shape[2] // 2
    left = images[:, :, :half].mean(axis=(1, 2, 3))
    right = images[:, :, half:].mean(axis=(1, 2, 3))
    return np.stack([bright, left - right], axis=1)


@functools.cache
def generator(devices: Parallel, classes: int = 0, seed: int = 0) -> GeneratedImages:
    """An untrained generator of 16x16."""
    e = tiny.experiment()
    network, _ = models.build(e.model, e.data, classes)
    labels = np.zeros((1, classes), np.float32) if classes else None
    z = np.zeros((1, network.z_dim), np.float32)
    variables = jax.jit(network.init)(jax.random.key(0), z, labels)
    variables = devices.replicate(jax.device_get(variables))
    lod = LevelOfDetail(16)
    return GeneratedImages("untrained", network, variables, lod, devices, seed)


def no_generator(devices: Parallel, network=None, **fields) -> GeneratedImages:
    """A generator without variables, for checks that never draw an image."""
    network = network or stylegan1.Generator(resolution=16, **fields)
    lod = LevelOfDetail(network.resolution)
    return GeneratedImages("it", network, {}, lod, devices, 0)


def context(devices: Parallel, **changes) -> EvalContext:
    settings = {
        "devices": devices,
        "networks": Networks(Projection(), SquaredError(), Projection(seed=2)),
        "attributes": brightness,
        "cache": None,
        "batch_size": 16,
        "show_progress": lambda *_: None,
    }
    return EvalContext(**settings | changes)


def two_sets(devices: Parallel, emoji, names, **changes) -> EvalSpec:
    """The emoji in two orders, as reals and as the images to compare with them."""
    reals, generated = (RealImages(emoji, devices, seed, "exact") for seed in (0, 1))
    settings = {
        "metrics": registry.find(names),
        "reals": reals,
        "generated": generated,
        "images": 48,
        "seed": 0,
        "checkpoint": {},
    }
    return EvalSpec(**settings | changes)


def all_images(images, count: int):
    """The first images of a set, [count,H,W,3], and their labels."""
    parts, have = [], 0
    for batch in images.batches(16):
        parts.append(batch)
        have += len(batch[0])
        if have >= count:
            break
    pictures, labels = (np.concatenate(x)[:count] for x in zip(*parts, strict=True))
    return rgb_on_white(pictures), labels


def measure(spec: EvalSpec, context: EvalContext) -> dict[str, MetricResult]:
    """All results by the name of the number; no metric may fail."""
    found = list(evaluation.evaluate(spec, context))
    assert not [x for x in found if isinstance(x, MetricFailure)]
    names = [number for m in spec.metrics.values() for number in m.numbers]
    assert [x.name for x in found] == names
    return {x.name: x for x in found}
