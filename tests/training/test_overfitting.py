"""Warnings of an overfitting discriminator."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.config import Training, image_size
from stylegan_jax.data import sources
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup
from stylegan_jax.training.guard import EvalResult
from stylegan_jax.training.overfitting import (
    OverfittingLog,
    OverfittingWatch,
    distances,
    find_signs,
    mean_distance,
    overfitting_ratio,
)
from stylegan_jax.training.progress import Progress
from tests import tiny


def warnings(probabilities, **settings):
    watch = OverfittingWatch(Training(augment="bgc", **settings))
    return [watch.warning(p) for p in probabilities]


def test_a_probability_that_stays_at_its_maximum_is_told_once():
    float32 = 0.699999988079071  # the number that the state holds
    given = [0.5, float32, float32, float32, 0.6, float32, float32]
    found = warnings(given, augment_p_max=0.7)
    told = [text is not None for text in found]
    assert told == [False, False, True, False, False, False, True]
    assert "stays at 0.70" in found[2] and "`training.transfer`" in found[2]


def test_without_a_maximum_certainty_is_the_limit():
    assert [w is not None for w in warnings([0.9, 0.99, 1.0, 1.02])] == [False] * 3 + [
        True
    ]


def test_a_constant_probability_is_what_the_user_wants():
    assert warnings([1.0] * 4, augment_probability=1.0) == [None] * 4


class Brightness:
    """A discriminator that scores images by their mean."""

    def apply(self, variables, images, labels, lod):
        assert labels is None  # the images have some, and the network has none
        return jnp.mean(images, axis=(1, 2, 3)) * variables["params"]["gain"]


class Gray:
    """A generator of images of one gray level."""

    z_dim = 2

    def apply(self, variables, z, labels, lod, noise, rngs):
        assert noise == "random"
        level = variables["params"]["level"]
        return jnp.full((len(z), *image_size((4, 4), lod.resolution), 3), level)


@pytest.fixture
def flat_images(tmp_path):
    """Returns a function that opens images of one gray level as a data set."""

    def open_images(level, count):
        folder = tmp_path / str(level)
        for i in range(count):
            (folder / str(i % 2)).mkdir(parents=True, exist_ok=True)
            pixels = np.full((16, 16, 3), level, np.uint8)
            Image.fromarray(pixels).save(folder / str(i % 2) / f"{i}.png")
        return sources.open_source(
            config.Data(source="folder", path=str(folder), resolution=16)
        )

    return open_images


class Logger:
    def __init__(self):
        self.rows, self.warnings = [], []

    def warning(self, images_seen, text):
        self.warnings.append(text)

    def scalars(self, images_seen, values):
        self.rows.append(values)


def test_scores_of_held_out_images(flat_images):
    """Training images score 2, held-out ones -2, generated ones 1: r_v is 4."""
    built = setup.build(tiny.experiment(), parallel.local())
    built = dataclasses.replace(built, discriminator=Brightness(), generator=Gray())
    logger = Logger()
    log = OverfittingLog(built, flat_images(255, 5), flat_images(0, 40), logger)
    state = types.SimpleNamespace(
        params={
            "discriminator": {"gain": jnp.float32(2)},
            "generator": {"level": jnp.float32(0.5)},
        },
        generator_variables=lambda params: {"params": params},
        discriminator_variables=lambda params: {"params": params},
    )
    for resolution in (16, 16, 8):  # the images follow the resolution of the stage
        result = log.measure(state, Progress(resolution))
    for values in logger.rows:
        found = {name.partition("/")[2]: value for name, value in values.items()}
        assert found == pytest.approx(
            {
                "score_training": 2,
                "score_held_out": -2,
                "score_generated": 1,
                "r_v": 4,
                "r_v_error": 0,
                "nearest": 0.25,  # 0.5 from white, as black images are 2 from it
                "variety": 1,  # training images are alike, too
            },
            abs=1e-3,
        )
    assert len(logger.rows) == 3 and len(logger.warnings) == 2
    assert "r_v is 4.00" in logger.warnings[0]
    assert "nearest one is 0.25" in logger.warnings[1]
    assert result == EvalResult(
        None, "OVERFITS? r_v 4.00, COPIES? nearest 0.25", collapse=""
    )


def test_few_images_do_not_tell_that_the_discriminator_overfits():
    found = {"r_v": 0.9, "r_v_error": 0.5, "nearest": 1.0, "variety": 0.39}
    found = {f"overfitting/{name}": value for name, value in found.items()}
    assert find_signs(found) == {"alike": ("COLLAPSE? variety 0.39", None)}
    assert "overfits" in find_signs(found | {"overfitting/r_v_error": 0.4})


def test_error_of_r_v():
    random = np.random.RandomState(0)
    means, sizes = np.array([2.0, 1.4, 0.5]), (40, 20, 30)

    def scores(means):
        return [m + random.randn(n) for m, n in zip(means, sizes, strict=True)]

    found = np.array([overfitting_ratio(*scores(means)) for _ in range(2000)])
    assert found[:, 0].mean() == pytest.approx(0.4, abs=0.02)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.1)


def test_the_error_is_large_where_generated_images_score_like_training_images():
    one = np.array([-1.0, 1.0] * 8)  # whose mean has a standard error of 1/4
    training, held_out, generated = 2.5 + one, 1.5 + one, 2.4 + one
    ratio, error = overfitting_ratio(training, held_out, generated)
    assert ratio == pytest.approx(10)
    assert error == pytest.approx(2.5 * np.sqrt(9**2 + 1 + 10**2))
    assert overfitting_ratio(training, held_out, training) == (0, 0)


def test_distances():
    a, b = np.random.RandomState(0).randn(2, 5, 7).astype(np.float32)
    expected = np.sqrt(np.square(a[:, None] - b).mean(2))
    np.testing.assert_allclose(distances(a, b), expected, rtol=1e-5)
    alone = np.sqrt(np.square(a[:, None] - a).mean(2))
    assert mean_distance(a) == pytest.approx(alone.sum() / 20, rel=1e-3)
