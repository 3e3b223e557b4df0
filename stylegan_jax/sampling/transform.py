"""Translation and rotation of the images of a StyleGAN3 network.

The network moves its input signal, so that the images move without resampling, and new
content appears at their edges. Each w moves the signal, too: between two images, the
view drifts, unless it is anchored.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3.1
and figure 5.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, Variables, stylegan3

Pair = tuple[float, float]


def parse_translation(text: str) -> Pair:
    """Return (x, y) from the value of --translate, X,Y.

    Raises:
      ValueError: the text has another form.
    """
    try:
        x, y = map(float, text.split(","))
        finite = np.isfinite([x, y]).all()
    except ValueError:
        finite = False
    if not finite:
        raise ValueError(
            f"`--translate` (={text!r}) must be X,Y: two numbers in image widths and "
            "heights, such as 0.25,0"
        )
    return x, y


def inverse_matrix(translate: Pair = (0.0, 0.0), degrees: float = 0.0) -> np.ndarray:
    """Return the inverse transform of image coordinates, which the network takes.

    Args:
      translate: shift to the right and downwards, in image widths and heights.
      degrees: counterclockwise rotation around the center, before the translation.

    Returns:
      [3,3] float32.
    """
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = [[cos, sin, translate[0]], [-sin, cos, translate[1]], [0, 0, 1]]
    return np.linalg.inv(matrix).astype(np.float32)


def inverse_matrices(views: jax.Array) -> jax.Array:
    """Return the `inverse_matrix` [B,3,3] of each view, in traced code.

    Args:
      views: [B,3]: x and y of the translation, and the rotation in degrees.
    """
    x, y, degrees = views.T
    angle = jnp.deg2rad(degrees)
    cos, sin, zero, one = jnp.cos(angle), jnp.sin(angle), 0 * angle, 0 * angle + 1
    rows = (
        (cos, -sin, sin * y - cos * x),
        (sin, cos, -sin * x - cos * y),
        (zero, zero, one),
    )
    return jnp.moveaxis(jnp.array(rows), 2, 0)


def check(generator: Generator) -> None:
    """Raise ValueError unless a network can move its images."""
    if not isinstance(generator, stylegan3.Generator):
        raise ValueError(
            "only StyleGAN3 networks can translate and rotate their images, and this "
            f"is a {type(generator).__module__.rpartition('.')[2]} network"
        )


def anchored(generator: Generator, variables: Variables) -> Variables:
    """Return variables with which every w moves the images like the average `w_avg`.

    The affine map from w to the transform of the input becomes constant, so that style
    0 has no effect. `moved` still moves the images.

    Args:
      generator: the network.
      variables: its variables.

    Raises:
      ValueError: the network is not a StyleGAN3.
    """
    check(generator)
    features = variables["params"]["input"]
    kernel = jnp.asarray(features["affine"]["kernel"]["weight"])
    bias = features["affine"]["bias"]["bias"]
    w_avg = jnp.asarray(variables["stats"]["w_avg"])
    average = jnp.matmul(w_avg, kernel, precision=jax.lax.Precision.HIGHEST)
    constant = {
        "kernel": {"weight": jnp.zeros_like(kernel)},
        "bias": {"bias": bias + average / math.sqrt(len(kernel))},
    }
    params = variables["params"] | {"input": features | {"affine": constant}}
    return {**variables, "params": params}


def moved(
    generator: Generator, variables: Variables, transform: np.ndarray
) -> Variables:
    """Return the variables of a network with a transform of its images.

    Args:
      generator: the network.
      variables: its variables.
      transform: [3,3] for all images, or [B,3,3] for each image of a batch; see
        `inverse_matrix`.

    Raises:
      ValueError: the network is not a StyleGAN3.
    """
    check(generator)
    constants = variables["constants"]
    changed = constants["input"] | {"transform": jnp.asarray(transform, jnp.float32)}
    return {**variables, "constants": constants | {"input": changed}}
