"""Single style channels (StyleSpace), ranked by how much they change images."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from stylegan_jax.models import Generator, Variables
from stylegan_jax.sampling.directions.affines import BIAS, Affine, affines
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.directions.subject import Subject

PROBES = 4  # random probe vectors for each image


def parse_channels(text: str) -> list[tuple[int, int]]:
    """Parse style channels, e.g. "2:17,3:5" -> [(2, 17), (3, 5)], layer and channel.

    Raises:
      ValueError: the text is not such a list.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6}):(\d{1,6})\s*", part)
        if not match:
            raise ValueError(
                f"channels (={text!r}) must be LAYER:CHANNEL, separated by commas, "
                "such as 2:17,3:5"
            )
        found.append((int(match[1]), int(match[2])))
    return found


def stylespace(
    subject: Subject,
    count: int,
    ws: np.ndarray,
    channels: list[tuple[int, int]] | None = None,
) -> list[Direction]:
    """Return directions that change one style channel each.

    Args:
      subject: the network.
      count: number of channels, by decreasing change of the images.
      ws: [N,L,W], styles of the images on which the change is measured.
      channels: chosen (style layer, channel) pairs, in place of `count`. The channels
        of a layer are numbered across its affine maps; see `affines`.

    Returns:
      Directions with the fact `change`: the root mean square change of the pixels, in
      [-1,1], per unit of strength, linearized and estimated with random probes.

    Raises:
      ValueError: the network has no such channels, or they do not vary.

    Reference: Wu et al. 2021, "StyleSpace Analysis: Disentangled Controls for StyleGAN
    Image Generation", sections 3 and 4.
    """
    found = affines(subject.generator, subject.variables)
    sigmas = _by_layer(found, [_deviations(subject, affine) for affine in found])
    if channels is None:
        chosen = [
            (layer, c)
            for layer in subject.layers
            for c in range(len(sigmas[layer]))
            if sigmas[layer][c] > 0
        ]
        if not 1 <= count <= len(chosen):
            raise ValueError(
                f"the number of directions (={count}) must be from 1 to {len(chosen)}, "
                f"the style channels of layers {list(subject.layers)} that vary"
            )
    else:
        chosen, count = channels, len(channels)
        for layer, c in chosen:
            size = len(sigmas.get(layer, ()))
            if not c < size or not sigmas[layer][c] > 0:
                raise ValueError(
                    f"channel {layer}:{c} must be one that varies: the style layers of "
                    f"this network are 0 to {max(sigmas)}, and layer {layer} has "
                    f"{size} channels, counted from 0"
                )
    slopes = _by_layer(
        found, _slopes(subject.generator, subject.variables, np.asarray(ws), found)
    )
    change = lambda key: sigmas[key[0]][key[1]] * slopes[key[0]][key[1]]  # noqa: E731
    if channels is None:
        chosen = sorted(chosen, key=change, reverse=True)[:count]
    return [
        subject.in_styles(
            f"stylespace_{layer}_{c}",
            layer,
            np.eye(len(sigmas[layer]))[c],
            float(sigmas[layer][c]),
            change=float(change((layer, c))),
        )
        for layer, c in chosen
    ]


def _deviations(subject: Subject, affine: Affine) -> np.ndarray:
    """Return the standard deviation of each style channel of w A, [C]."""
    covariance = subject.moments.covariance
    variances = np.einsum("wc,wc->c", affine.kernel, covariance @ affine.kernel)
    return np.sqrt(np.maximum(variances, 0))


def _by_layer(found: list[Affine], values: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Concatenate values [C] of affine maps into one array for each style layer."""
    layers: dict[int, list[np.ndarray]] = {}
    for affine, value in zip(found, values, strict=True):
        layers.setdefault(affine.layer, []).append(value)
    return {layer: np.concatenate(parts) for layer, parts in layers.items()}


def _slopes(
    generator: Generator, variables: Variables, ws: np.ndarray, found: list[Affine]
) -> list[np.ndarray]:
    """Return the root mean square derivative of the pixels by each style channel.

    For a vector u of random signs, E (u^T J)^2 is the sum of squares of each column of
    the Jacobian J, and one backward pass gives u^T J for all channels.

    Returns:
      [C] for each affine map.
    """
    params = traverse_util.flatten_dict(variables["params"])
    biases = {affine.path: params[affine.path + BIAS] for affine in found}
    total = [0.0] * len(found)
    for i, one in enumerate(ws):
        squares = _squares(generator, variables, biases, one[None], jax.random.key(i))
        total = [
            a + np.asarray(squares[affine.path], np.float64)
            for a, affine in zip(total, found, strict=True)
        ]
    return [np.sqrt(sum_ / len(ws)) for sum_ in total]


@functools.partial(jax.jit, static_argnums=0)
def _squares(generator, variables, biases, ws, key):
    """Return the mean squared derivative over pixels and probes, by affine map."""
    plain = generator.clone(remat="none")

    def images(biases):
        params = traverse_util.flatten_dict(variables["params"])
        params |= {path + BIAS: bias for path, bias in biases.items()}
        changed = {**variables, "params": traverse_util.unflatten_dict(params)}
        return plain.apply(changed, ws, method="synthesize")

    image, derivative = jax.vjp(images, biases)

    def probe(key):
        signs = jax.random.rademacher(key, image.shape, image.dtype)
        return jax.tree.map(jnp.square, derivative(signs)[0])

    squares = jax.lax.map(probe, jax.random.split(key, PROBES))
    return jax.tree.map(lambda x: x.mean(0) / image.size, squares)
