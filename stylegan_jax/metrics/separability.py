"""Linear separability of binary attributes in a latent space.

Reference: Karras et al., StyleGAN (2019), section 4.2: exp of the sum, over
    attributes, of H(attribute | side of the best separating plane).
"""

import chex
import numpy as np

ITERATIONS = 100
TOLERANCE = 1e-8  # norm of the gradient, relative to its norm at zero


def linear_separability(
    latents: np.ndarray, logits: np.ndarray, keep: float = 0.5
) -> tuple[float, np.ndarray]:
    """Compute the separability score of a latent space.

    Args:
      latents: [N, D] float, z or w of N images.
      logits: [N, A] float logits of A binary attributes, positive if an image has the
        attribute.
      keep: fraction of the images to keep, those with the most certain attribute; half
        in the paper (100,000 of 200,000).

    Returns:
      The score, 1 if a plane separates every attribute; and the conditional entropy of
      each attribute [A], in nats.

    Raises:
      ValueError: `keep` is out of range, or the classifier returned another number of
        rows than there are images.
    """
    chex.assert_rank([latents, logits], 2)
    if len(logits) != len(latents):
        raise ValueError(
            f"the attribute classifier returned {len(logits)} rows of logits for "
            f"{len(latents)} images; it must return one row per image"
        )
    if not 0 < keep <= 1:
        raise ValueError(f"`keep` (={keep}) must be in (0, 1]")
    count = round(keep * len(latents))
    entropies = []
    for column in logits.T:
        most_certain = np.argsort(-np.abs(column), kind="stable")[:count]
        has = column[most_certain] > 0
        chosen = np.asarray(latents)[most_certain].astype(np.float64)
        plane, offset = support_vector_machine(chosen, has)
        entropies.append(conditional_entropy(chosen @ plane + offset > 0, has))
    return float(np.exp(np.sum(entropies))), np.array(entropies)


def conditional_entropy(predicted: np.ndarray, has: np.ndarray) -> float:
    """Compute H(has | predicted) of two boolean arrays [N], in nats."""
    entropy = 0.0
    for side in (False, True):
        with_attribute = float(np.mean((predicted == side) & has))
        without = float(np.mean((predicted == side) & ~has))
        for p in (with_attribute, without):
            if p > 0:
                entropy -= p * np.log(p / (with_attribute + without))
    return entropy


def support_vector_machine(
    x: np.ndarray, positive: np.ndarray
) -> tuple[np.ndarray, float]:
    """Solve the linear SVM of the official code (scikit-learn's LinearSVC) exactly.

    Minimize |w|^2 / 2 + b^2 / 2 + sum max(0, 1 - y (w.x + b))^2, which is
    convex and piecewise quadratic: Newton's method with the generalized Hessian reaches
    the minimum in a few steps.

    Args:
      x: [N, D] float64.
      positive: [N] bool, the class y > 0.

    Returns:
      w [D] and b.

    Raises:
      ValueError: it did not converge, which no finite x should cause.

    Reference: Keerthi and DeCoste, "A Modified Finite Newton Method for Fast Solution
      of Large Scale Linear SVMs" (2005).
    """
    signs = np.where(positive, 1.0, -1.0)
    rows = np.column_stack([x, np.ones(len(x))]) * signs[:, None]
    weights = np.zeros(rows.shape[1])

    def value(at: np.ndarray) -> float:
        return at @ at / 2 + np.sum(np.square(np.maximum(0, 1 - rows @ at)))

    scale = None
    for _ in range(ITERATIONS):
        short = 1 - rows @ weights
        active = rows[short > 0]
        gradient = weights - 2 * short[short > 0] @ active
        size = np.linalg.norm(gradient)
        scale = size if scale is None else scale
        if size <= TOLERANCE * max(scale, 1e-300):
            return weights[:-1], float(weights[-1])
        hessian = np.eye(len(weights)) + 2 * active.T @ active
        step = np.linalg.solve(hessian, gradient)
        length, before = 1.0, value(weights)
        while (
            value(weights - length * step) > before - 1e-4 * length * gradient @ step
            and length > 1e-10
        ):
            length /= 2
        weights = weights - length * step
    raise ValueError(
        f"the support vector machine of {len(x)} latents did not converge in "
        f"{ITERATIONS} steps; check the latents for values that are not finite or very "
        "large"
    )
