"""Directions from eigenvectors: SeFa uses the weights, GANSpace the distribution of w.

Neither needs labels. Directions are ordered by their eigenvalues.
"""

import numpy as np

from stylegan_jax.sampling.directions.affines import affines
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.directions.subject import Subject, with_fixed_sign


def sefa(subject: Subject, count: int) -> list[Direction]:
    """Return the directions of w that change the styles most.

        A = [a_1 ... a_C], a_c the weights of a style channel, scaled to |a_c| = 1
        A A^T v_i = lambda_i v_i

    A holds all style channels of the chosen layers. As in the official code, only one
    affine map of each layer is used: that of the convolution, or that of ToRGB in the
    last layer of StyleGAN2.

    Args:
      subject: the network.
      count: number of directions, by decreasing eigenvalue.

    Returns:
      Directions with the facts `eigenvalue`; and `share`, its share of the sum of all
      eigenvalues.

    Raises:
      ValueError: the network has no styles, or too few directions.

    Reference: Shen and Zhou 2021, "Closed-Form Factorization of Latent Semantics in
    GANs", section 3.2.
    """
    kernels = {}
    for affine in affines(subject.generator, subject.variables):
        if affine.layer in subject.layers:
            kernels.setdefault(affine.layer, affine.kernel)
    columns = np.concatenate([kernels[layer] for layer in sorted(kernels)], axis=1)
    lengths = np.linalg.norm(columns, axis=0)
    columns = columns[:, lengths > 0] / lengths[lengths > 0]
    return _principal(subject, "sefa", columns @ columns.T, count)


def ganspace(subject: Subject, count: int) -> list[Direction]:
    """Return the principal components of w.

    Args:
      subject: the network, with the moments of its w.
      count: number of components, by decreasing variance.

    Returns:
      Directions with the facts `eigenvalue`, the variance of w, and `share`, its share
      of the total variance.

    Raises:
      ValueError: there are too few components.

    Reference: Härkönen et al. 2020, "GANSpace: Discovering Interpretable GAN
    Controls", section 3.1.
    """
    return _principal(subject, "ganspace", subject.moments.covariance, count)


def _principal(
    subject: Subject, method: str, matrix: np.ndarray, count: int
) -> list[Direction]:
    """Return the directions of the largest eigenvalues of a symmetric matrix [W,W]."""
    if not 1 <= count <= len(matrix):
        raise ValueError(
            f"the number of directions (={count}) must be from 1 to {len(matrix)}, the "
            "length of w"
        )
    values, vectors = np.linalg.eigh(matrix)
    return [
        subject.in_w(
            f"{method}_{i + 1}",
            method,
            with_fixed_sign(vectors[:, -1 - i]),
            eigenvalue=float(values[-1 - i]),
            share=float(values[-1 - i] / values.sum()),
        )
        for i in range(count)
    ]
