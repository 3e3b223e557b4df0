"""Directions from two groups of latents: a linear boundary, or their difference."""

import dataclasses

import numpy as np

from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.directions.subject import Subject

FOLDS = 5
PENALTIES = 10.0 ** np.arange(-4, 2)  # weights of |v|^2 / 2, for unit-variance w


def difference(
    subject: Subject, name: str, negative: np.ndarray, positive: np.ndarray
) -> Direction:
    """Return the direction between two latents, or between the means of two groups.

    Args:
      subject: the network.
      name: name of the direction.
      negative: ws [N,L,W], the start.
      positive: ws [M,L,W], the end.

    Returns:
      A direction with a vector [W], or [L,W] if the latents differ between layers, and
      the fact `distance`: the strength that leads from `negative` to `positive`.

    Raises:
      ValueError: the latents or means are equal.
    """
    vector = np.mean(positive, 0, np.float64) - np.mean(negative, 0, np.float64)
    if np.array_equal(vector, np.broadcast_to(vector[:1], vector.shape)):
        vector = vector[0]
    found = subject.in_w(name, "difference", vector)
    rows = vector[list(subject.layers)] if vector.ndim == 2 else vector[None]
    length = np.sqrt(np.square(rows).sum(1).mean())
    return dataclasses.replace(found, facts={"distance": float(length / found.sigma)})


def boundary(
    subject: Subject, name: str, negative: np.ndarray, positive: np.ndarray
) -> Direction:
    """Return the normal of a linear boundary between two groups of latents.

    It is found by logistic regression with an L2 penalty, whose weight is chosen by the
    likelihood in cross-validation. Latents that differ between layers are averaged over
    the chosen layers.

    Args:
      subject: the network.
      name: name of the direction.
      negative: ws [N,L,W].
      positive: ws [M,L,W], towards which the direction points.

    Returns:
      A direction with a vector [W] and the facts `accuracy`, the fraction of latents on
      the right side in cross-validation; `majority`, the fraction of latents in the
      larger group; and `examples`, N + M.

    Raises:
      ValueError: a group has fewer than two latents.

    Reference: Shen et al. 2020, "Interpreting the Latent Space of GANs for Semantic
    Face Editing", section 3.1, which uses a support vector machine.
    """
    least = min(len(negative), len(positive))
    if least < 2:
        raise ValueError(
            f"a boundary needs at least two latents on each side, not {len(negative)} "
            f"negative and {len(positive)} positive; add some, or use difference"
        )
    layers = list(subject.layers)
    groups = [
        np.asarray(g, np.float64)[:, layers].mean(1) for g in (negative, positive)
    ]
    moments = subject.moments
    scale = np.sqrt(np.trace(moments.covariance) / len(moments.mean))
    x = (np.concatenate(groups) - moments.mean) / scale
    y = np.repeat([-1.0, 1.0], [len(g) for g in groups])
    # Distribute each group evenly over the folds.
    folds = np.concatenate([np.arange(len(g)) for g in groups]) % min(FOLDS, least)
    loss, accuracy = zip(*(_validate(x, y, folds, p) for p in PENALTIES), strict=True)
    best = int(np.argmin(loss))
    normal, _ = _fit(x, y, PENALTIES[best])
    return subject.in_w(
        name,
        "boundary",
        normal,
        accuracy=accuracy[best],
        majority=max(len(g) for g in groups) / len(y),
        examples=float(len(y)),
    )


def _validate(
    x: np.ndarray, y: np.ndarray, folds: np.ndarray, penalty: float
) -> tuple[float, float]:
    """Return the mean logistic loss, and the accuracy, in cross-validation."""
    margins = np.empty(len(y))
    for fold in np.unique(folds):
        out = folds == fold
        normal, bias = _fit(x[~out], y[~out], penalty)
        margins[out] = y[out] * (x[out] @ normal + bias)
    return float(np.logaddexp(0, -margins).mean()), float((margins > 0).mean())


def _fit(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Return the normal v [W] and the bias b of a logistic regression.

    They minimize mean log(1 + exp(-y (x v + b))) + penalty / 2 |v|^2.
    """
    from scipy.optimize import minimize  # slow to import, and needed only here

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        v, b = parameters[:-1], parameters[-1]
        margin = y * (x @ v + b)
        loss = np.logaddexp(0, -margin).mean() + penalty / 2 * v @ v
        slope = -y * np.exp(-np.logaddexp(0, margin)) / len(y)
        return loss, np.append(x.T @ slope + penalty * v, slope.sum())

    start = np.zeros(x.shape[1] + 1)
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    return found.x[:-1], float(found.x[-1])
