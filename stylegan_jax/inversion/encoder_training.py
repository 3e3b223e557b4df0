"""Training of an encoder on samples of its generator.

    encoder = train(network, EncoderSettings(steps=500), "multiscale")

Each step draws new latents, so there is no data set and no overfitting. For a sample
x = G(w), of which the encoder estimates w', the loss is

    mean ((w' - w) / scale)^2 + image_weight * distance(G(w'), x)
        + offset_weight * mean (offsets / scale)^2

Many w give nearly the same image; the second term accepts any of them.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stylegan_jax.config import image_size
from stylegan_jax.inversion import bounds, distances, steps
from stylegan_jax.inversion.distances import Distance
from stylegan_jax.inversion.encoder import Encoder, EncoderNetwork, encode
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.w_statistics import w_statistics
from stylegan_jax.models import Channels, LevelOfDetail, Variables
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import parallel

BETA1, BETA2 = 0.9, 0.99  # Adam's
TEST_BATCHES = 8  # batches of new samples for the final test
Progress = Callable[[str, int, int], None]  # (activity, steps done, their total)


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """The settings for training an encoder.

    Attributes:
      space: "w" gives one w for all style layers; "w+" adds an offset for each layer.
      steps: number of steps.
      batch_size: samples in a step, a multiple of the number of devices.
      learning_rate: initial learning rate of Adam, with cosine decay to 0.
      image_weight: weight of the distance between images; 0 skips its computation.
      offset_weight: weight of the squared offsets.
      channel_base: there are 2 * channel_base / R feature maps at resolution R.
      channel_max: maximum number of feature maps.
      seed: seed of the samples and of the initial parameters.

    Raises:
      ValueError: a setting is out of its range.
    """

    space: str = "w"
    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 2e-3
    image_weight: float = 10.0
    offset_weight: float = 1.0
    channel_base: int = 1024
    channel_max: int = 128
    seed: int = 0

    def __post_init__(self):
        """Raise ValueError for a setting that is out of its range."""
        if self.space not in ("w", "w+"):
            raise ValueError(f"space (={self.space!r}) must be w or w+")
        bounds.check_at_least_one(
            self, "steps", "batch_size", "channel_base", "channel_max"
        )
        bounds.check_not_negative(
            self, "learning_rate", "image_weight", "offset_weight", "seed"
        )
        if self.space == "w+" and self.image_weight == 0:
            raise ValueError(
                "image_weight (=0) must be positive with space (='w+'), since only the "
                "distance between images trains the offsets"
            )


class _Static(NamedTuple):
    """The static arguments of the compiled programs; hashable."""

    module: EncoderNetwork
    synthesis: steps.Static
    batch_size: int
    compares: bool  # False leaves out the distance between images


class _Fixed(NamedTuple):
    """The traced values that all steps share."""

    variables: Variables
    weights: Any  # the distance's
    mean: Any  # [W]
    scale: Any
    settings: Any  # (steps, learning_rate, image_weight, offset_weight, seed)


class _State(NamedTuple):
    params: Any
    moments: Any
    step: jax.Array


def train(
    network: Network,
    settings: EncoderSettings | None = None,
    distance: Distance | str = distances.AUTO,
    *,
    resolution: int | None = None,
    progress: Progress | None = None,
) -> Encoder:
    """Train an encoder.

    The classes of a conditional network are drawn uniformly. The encoder's `facts` hold
    its mean distance on new samples, `distance`, and that of the average w for
    comparison, `distance_of_average`.

    Args:
      network: the generator.
      settings: see `EncoderSettings`; None for its defaults.
      distance: a distance, or its name; see `distances.load`.
      resolution: resolution of the images, for networks that grew; None is the highest.
      progress: called after each step.

    Raises:
      ValueError: the network has no such resolution or takes label vectors, or the
        batch does not divide evenly over the devices.
    """
    s = settings or EncoderSettings()
    if network.label_vectors:
        raise ValueError(
            f"{network.reference} takes label vectors, whose distribution is not "
            "known; an encoder needs a network with classes or without labels"
        )
    if isinstance(distance, str):
        distance = distances.load(distance)
    generator, lod, devices = (
        network.generator,
        network.level(resolution),
        parallel.local(),
    )
    devices.check_batch("batch_size", s.batch_size)
    size = image_size(generator.base_size, lod.resolution)
    module = EncoderNetwork(
        lod.resolution,
        generator.w_dim,
        generator.num_ws if s.space == "w+" else 0,
        Channels(s.channel_base, s.channel_max),
    )
    static = _Static(
        module,
        steps.static(generator, Settings(noise="const"), distance, devices),
        s.batch_size,
        s.image_weight > 0,
    )
    statistics = _statistics(network)
    scale = statistics[1] / np.sqrt(generator.w_dim)
    numbers = (s.steps, s.learning_rate, s.image_weight, s.offset_weight)
    fixed = _Fixed(
        *devices.replicate((network.variables, distance.variables)),
        statistics[0],
        np.float32(scale),
        (*map(np.float32, numbers), np.uint32(s.seed % 2**32)),
    )
    image = np.zeros((1, *size, generator.image_channels), np.float32)
    params = jax.jit(module.init)(jax.random.key(s.seed), image)["params"]
    state = _State(params, _adam().init(params), np.int32(0))
    state = devices.replicate(state)
    for step in range(s.steps):
        state, loss = _update(static, fixed, lod, state)
        if progress is not None:
            done = step + 1 == s.steps or step % 10 == 0
            shown = f", loss {float(loss):.3f}" if done else ""
            progress(f"steps of training{shown}", step + 1, s.steps)
    tests = [
        _test(static, fixed, lod, state.params, np.int32(i))
        for i in range(TEST_BATCHES)
    ]
    found = np.mean(np.asarray(tests), axis=0)
    return Encoder(
        module=module,
        params=jax.device_put(jax.device_get(state.params)),
        mean=np.asarray(statistics[0], np.float32),
        scale=float(scale),
        size=size,
        image_channels=generator.image_channels,
        num_ws=generator.num_ws,
        reference=network.reference,
        fingerprint=network.fingerprint,
        facts={
            "steps": s.steps,
            "batch_size": s.batch_size,
            "distance": float(found[0]),
            "distance_of_average": float(found[1]),
            "w_error": float(found[2]),
        },
    )


def _statistics(network: Network) -> tuple[np.ndarray, float]:
    """Return the mean and the standard deviation of w over all classes."""
    if not network.classes:
        return tuple(w_statistics(network))
    found = [w_statistics(network, i) for i in range(len(network.classes))]
    means = np.stack([each.mean for each in found])
    mean = means.mean(0)
    squares = np.mean([each.std**2 for each in found])
    between = np.square(means - mean).sum(1).mean()
    return mean, float(np.sqrt(squares + between))


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam(BETA1, BETA2)


def _samples(
    static: _Static, fixed: _Fixed, lod: LevelOfDetail, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draw new latents; return their w [B,W] and images [B,H,W,C]."""
    generator = static.synthesis.generator
    constrain = static.synthesis.devices.constrain_batch
    batch, size = static.batch_size, generator.label_size
    key, label_key = jax.random.split(key)
    z = constrain(jax.random.normal(key, (batch, generator.z_dim)))
    labels = None
    if size:
        classes = jax.random.randint(label_key, (batch,), 0, size)
        labels = constrain(jax.nn.one_hot(classes, size))
    w = generator.apply(fixed.variables, z, labels, method="map")[:, 0]
    point = {"w": w[:, None], "noise": {}}
    images = steps.synthesize(static.synthesis, fixed.variables, lod, point)
    return w, jnp.clip(images, -1, 1)


def _distance(
    static: _Static, fixed: _Fixed, lod: LevelOfDetail, images: jax.Array, ws: jax.Array
) -> jax.Array:
    """Return the distances [B] of images to those of ws [B,1 or L,W]."""
    s = static.synthesis
    drawn = steps.synthesize(s, fixed.variables, lod, {"w": ws, "noise": {}})
    target = s.describe(fixed.weights, images)
    return s.compare(fixed.weights, target, s.describe(fixed.weights, drawn))


@functools.partial(jax.jit, static_argnums=0)
def _update(static, fixed, lod, state):
    total, rate, image_weight, offset_weight, seed = fixed.settings
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    w, images = _samples(static, fixed, lod, key)
    goal = (w - fixed.mean) / fixed.scale

    def objective(params: Any) -> jax.Array:
        found, offsets = static.module.apply({"params": params}, images)
        loss = jnp.mean(jnp.square(found - goal))
        if offsets is None:
            offsets = jnp.zeros((1, 1, 1))
        loss = loss + offset_weight * jnp.mean(jnp.square(offsets))
        if static.compares:
            ws = fixed.mean + fixed.scale * (found[:, None] + offsets)
            far = _distance(static, fixed, lod, images, ws)
            loss = loss + image_weight * jnp.mean(far)
        return loss

    loss, gradient = jax.value_and_grad(objective)(state.params)
    updates, moments = _adam().update(gradient, state.moments)
    rate = rate * (0.5 + 0.5 * jnp.cos(jnp.pi * state.step / total))
    params = jax.tree.map(lambda x, u: x - rate * u, state.params, updates)
    keep = static.synthesis.devices.constrain_replicated
    return keep(_State(params, moments, state.step + 1)), loss


@functools.partial(jax.jit, static_argnums=0)
def _test(static, fixed, lod, params, number):
    """Return three means over new samples.

    They are the distance of the encoder's images, the distance of the average image,
    and the squared error of w in standard deviations.
    """
    key = jax.random.fold_in(jax.random.key(fixed.settings[-1]), 2**30 + number)
    w, images = _samples(static, fixed, lod, key)
    found, base = encode(static.module, params, images)
    found = found if found.ndim == 3 else found[:, None]
    average = jnp.broadcast_to(fixed.mean, (len(w), 1, w.shape[-1]))
    ends = [fixed.mean + fixed.scale * found, average]
    far = [jnp.mean(_distance(static, fixed, lod, images, ws)) for ws in ends]
    error = jnp.mean(jnp.square(base - (w - fixed.mean) / fixed.scale))
    return jnp.stack([*far, error])
