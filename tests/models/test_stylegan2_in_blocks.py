"""StyleGAN2 with its narrow images in blocks of pixels, against the plain form.

The goldens hold networks that are narrow everywhere, see `test_stylegan2`. These are
narrow from some resolution up, which is a parameter here and 128 channels in training.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import blocks
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import (
    D_ARCHITECTURES,
    Discriminator,
    Generator,
    LayerOptions,
)
from tests import goldens

pytestmark = pytest.mark.usefixtures("quick_compilation")
TOLERANCE = 3e-4  # of the rms; gradients of gradients are off by up to 1e-4
RESOLUTION, BATCH = 16, 2
CHANNELS = Channels(32)  # 16 at 4x4, 8 at 8x8, 4 at 16x16
SQUARE = (4, 4)
# Channels from which images are wide: all images, those up to 8x8, 4x4 or none.
WIDE = (4, 8, 16, 32)
# The slow cases are variants of the others.
slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture
def seen(monkeypatch):
    """Return the channels of the images that are convolved in blocks."""
    channels = []
    for name in ("conv2d", "up_conv2d", "down_conv2d"):
        function = getattr(blocks, name)

        def count(x, *args, function=function, **kwargs):
            if isinstance(x, blocks.Blocks):
                channels.append(x.shape[-1])
            return function(x, *args, **kwargs)

        monkeypatch.setattr(blocks, name, count)
    return channels


def check(model, objective, variables, *inputs):
    """Compare the results of both forms, and their gradients by the parameters."""

    @jax.jit
    def run(variables, *inputs):
        def loss(params, pixel_blocks):
            form = model.clone(pixel_blocks=pixel_blocks)
            return objective(form, variables | {"params": params}, *inputs)

        return [
            jax.value_and_grad(loss, has_aux=True)(variables["params"], form)
            for form in (True, False)
        ]

    ours, plain = run(variables, *inputs)
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(plain), strict=True
    )
    for (path, got), wanted in leaves:
        assert np.any(wanted) or "strength" not in str(path)
        goldens.assert_close(got, wanted, TOLERANCE, jax.tree_util.keystr(path))


def step_of_path_length(model, variables, ws, noise):
    """Return a loss with the squared gradient of images by styles, and the images."""

    def images(ws):
        return model.apply(variables, ws, method="synthesize", noise="const")

    made, pull_back = jax.vjp(images, ws)
    (gradient,) = pull_back(noise)
    return jnp.sum(jnp.square(gradient)) + jnp.sum(made * noise), made


def step_of_r1(model, variables, images):
    """Return a loss with the squared gradient of scores by images, and both."""
    score = lambda images: jnp.sum(jnp.sin(scores(images)))  # noqa: E731
    scores = lambda images: model.apply(variables, images)  # noqa: E731
    gradient = jax.grad(score)(images)
    found = scores(images)
    return jnp.sum(jnp.square(gradient)) + jnp.sum(found), (found, gradient)


def narrow(wide):
    """Return the channels of narrow images; those of 4x4 are never in blocks."""
    return {CHANNELS(r) for r in (8, RESOLUTION) if CHANNELS(r) < wide}


def random_like(shapes):
    """Return random variables, so that noise strengths and biases are not zero."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    ("architecture", "wide", "base_size"),
    [
        *(slow("skip", wide, SQUARE) for wide in WIDE if wide != 8),
        ("skip", 8, SQUARE),
        *(slow(name, 16, SQUARE) for name in ("resnet", "orig", "growing")),
        slow("skip", 16, (3, 5)),  # 6x10 pixels in blocks
    ],
)
def test_generator(architecture, wide, base_size, seen, monkeypatch):
    monkeypatch.setattr(blocks, "WIDE", wide)
    model = Generator(
        resolution=RESOLUTION,
        base_size=base_size,
        channels=CHANNELS,
        architecture=architecture,
        z_dim=4,
        w_dim=4,
        mapping_layers=1,
        options=LayerOptions(conv_clamp=None),
    )
    z = jnp.zeros((1, 4))
    variables = random_like(jax.eval_shape(model.init, jax.random.key(0), z))
    rng = np.random.default_rng(1)
    ws = rng.normal(size=(BATCH, model.num_ws, 4)).astype(np.float32)
    height, width = (n * RESOLUTION // 4 for n in base_size)
    noise = rng.normal(size=(BATCH, height, width, 3)).astype(np.float32)
    check(model, step_of_path_length, variables, ws, noise)
    assert set(seen) == narrow(wide)


@pytest.mark.parametrize(
    ("architecture", "wide", "base_size"),
    [
        *(slow("resnet", wide, SQUARE) for wide in WIDE),
        *(slow(name, 16, SQUARE) for name in D_ARCHITECTURES if name != "resnet"),
        ("resnet", 16, (3, 5)),  # 6x10 pixels, half of which do not divide into blocks
    ],
)
def test_discriminator(architecture, wide, base_size, seen, monkeypatch):
    monkeypatch.setattr(blocks, "WIDE", wide)
    model = Discriminator(
        resolution=RESOLUTION,
        base_size=base_size,
        channels=CHANNELS,
        architecture=architecture,
        options=LayerOptions(conv_clamp=None),
    )
    height, width = (n * RESOLUTION // 4 for n in base_size)
    images = np.random.default_rng(1).normal(size=(BATCH, height, width, 3))
    images = images.astype(np.float32)
    variables = random_like(jax.eval_shape(model.init, jax.random.key(0), images))
    check(model, step_of_r1, variables, images)
    # RGB images are, too, and wide ones before a filter.
    assert narrow(wide) <= set(seen)
