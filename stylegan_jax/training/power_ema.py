"""Averages of the generator whose length is chosen after training.

A power-function average weights the parameters at time t by t^gamma, so its length
grows with the run. The length is given by the standard deviation of the weights over
time, relative to the length of the run. From snapshots of two such averages, the
average of any other length at any past time can be reconstructed by least squares.

Reference: Karras et al. 2024, "Analyzing and Improving the Training Dynamics of
Diffusion Models" (EDM2), section 3 and appendix C.
"""

import chex
import jax.numpy as jnp
import numpy as np


def exponent(std: float) -> float:
    """Return gamma for a relative standard deviation, which must be in (0, 0.28]."""
    # (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = std^2 is a cubic equation in gamma.
    inverse = std**-2.0
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return float(np.max(roots.real[np.abs(roots.imag) < 1e-9]))


def decay(gamma: float, images_after: chex.Numeric, batch_size: int) -> chex.Numeric:
    """Return the factor by which a step multiplies the old average.

    Args:
      gamma: exponent of the average.
      images_after: images seen at the end of the step.
      batch_size: images of the step; the first step replaces the average.
    """
    return (1 - batch_size / jnp.asarray(images_after, jnp.float32)) ** (gamma + 1)


def coefficients(
    times: np.ndarray, stds: np.ndarray, time: float, std: float
) -> np.ndarray:
    """Return the weights [N] with which a sum of snapshots is nearest to an average.

    Args:
      times: [N], images seen at each snapshot, positive.
      stds: [N], relative standard deviation of the average in each snapshot.
      time: images seen at the time of the average, at most the largest of `times`.
      std: relative standard deviation of the average.
    """
    chex.assert_equal_shape([times, stds])
    gammas = np.array([exponent(s) for s in stds])
    wanted = np.full(1, exponent(std))
    rows, columns = (times[:, None], gammas[:, None]), (times[None], gammas[None])
    products = _inner_product(*rows, *columns)
    target = _inner_product(*rows, np.full((1, 1), time), wanted[None])
    return np.linalg.solve(products, target)[:, 0]


def _inner_product(
    time_a: np.ndarray, gamma_a: np.ndarray, time_b: np.ndarray, gamma_b: np.ndarray
) -> np.ndarray:
    """Integrate the product of two averages' weights over time."""
    ratio, latest = time_a / time_b, np.maximum(time_a, time_b)
    power = ratio ** np.where(time_a < time_b, gamma_b, -gamma_a)
    return (gamma_a + 1) * (gamma_b + 1) * power / ((gamma_a + gamma_b + 1) * latest)
