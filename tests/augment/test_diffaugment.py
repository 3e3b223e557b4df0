"""DiffAugment, compared with its formulas in NumPy and with what must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.augment import diffaugment
from stylegan_jax.augment.policies import POLICIES, DiffPolicy

IMAGES = np.random.RandomState(0).uniform(-1, 1, (64, 12, 20, 3)).astype(np.float32)


def augmented(policy: str, probability=1.0, images=IMAGES, seed=0):
    out = diffaugment.augment(
        jax.random.key(seed), jnp.asarray(images), probability, POLICIES[policy]
    )
    return np.asarray(out)


def test_color_has_the_ranges_of_the_paper():
    """Each image is an affine map of its gray values, its colors and its mean."""
    out, used = augmented("color"), []
    for before, after in zip(IMAGES.astype(np.float64), out, strict=True):
        gray, mean = before.mean(2, keepdims=True), before.mean()
        basis = np.stack(
            [
                (before - gray).ravel(),
                np.broadcast_to(gray - mean, before.shape).ravel(),
            ]
        )
        basis = np.concatenate([basis, np.ones((1, before.size))])
        weights, error, _, _ = np.linalg.lstsq(basis.T, after.ravel(), rcond=None)
        assert error < 1e-8
        contrast = weights[1]
        used.append([weights[2] - mean, weights[0] / contrast, contrast])
    # Brightness, saturation and contrast.
    used, low, high = np.array(used), np.array([-0.5, 0, 0.5]), np.array([0.5, 2, 1.5])
    assert (used >= low - 1e-4).all() and (used <= high + 1e-4).all()
    middle = np.abs(used.mean(0) - (low + high) / 2) / (high - low)
    assert (middle < 0.12).all()
    assert (used.max(0) - used.min(0) > 0.8 * (high - low)).all()


def test_translation_shifts_whole_pixels_and_fills_with_zeros():
    out, shifts = augmented("translation"), set()
    bounds = 2, 3  # an eighth of 12 and 20, rounded
    for before, after in zip(IMAGES, out, strict=True):
        found = [
            (y, x)
            for y in range(-bounds[0], bounds[0] + 1)
            for x in range(-bounds[1], bounds[1] + 1)
            if np.allclose(shifted(before, y, x), after, atol=1e-6)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert {y for y, _ in shifts} == set(range(-2, 3))
    assert {x for _, x in shifts} == set(range(-3, 4))


def shifted(image, y, x):
    out = np.zeros_like(image)
    height, width = image.shape[:2]
    rows, columns = np.arange(height) - y, np.arange(width) - x
    inside = np.ix_((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    out[inside] = image[
        np.ix_(
            rows[(rows >= 0) & (rows < height)],
            columns[(columns >= 0) & (columns < width)],
        )
    ]
    return out


def test_cutout_removes_one_rectangle():
    out = augmented("cutout")
    for before, after in zip(IMAGES, out, strict=True):
        removed = (after == 0).all(2)
        np.testing.assert_array_equal(after[~removed], before[~removed])
        rows, columns = np.flatnonzero(removed.any(1)), np.flatnonzero(removed.any(0))
        assert removed.sum() == len(rows) * len(columns)  # a rectangle, ...
        # ... of half of the sides, less where it reaches across the border.
        assert 3 <= len(rows) <= 6 and 5 <= len(columns) <= 10
    assert len({tuple(np.argwhere((a == 0).all(2))[0]) for a in out}) > 20


@pytest.mark.parametrize("policy", [n for n, p in POLICIES.items() if "," in n])
def test_groups_do_not_change_each_others_numbers(policy):
    """A policy applies its groups in turn, each as it is alone."""
    out = IMAGES
    for name in policy.split(","):
        assert getattr(POLICIES[policy], name)
        out = augmented(name, images=out)
    np.testing.assert_allclose(augmented(policy), out, atol=1e-6)


def test_probability():
    everything = "color,translation,cutout"
    np.testing.assert_allclose(augmented(everything, 0.0), IMAGES, atol=1e-6)
    some = np.abs(augmented("cutout", 0.5) - IMAGES).max((1, 2, 3)) > 0
    assert 0.3 < some.mean() < 0.7


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_alpha(channels):
    images = np.resize(IMAGES, (8, 12, 20, channels))
    out = augmented("color", images=images)
    assert out.shape == images.shape
    if channels == 4:
        np.testing.assert_array_equal(out[..., 3], images[..., 3])
    assert np.abs(out - images)[..., 0].max() > 0.1


def test_gradients_of_gradients_are_finite():
    key, policy = jax.random.key(1), DiffPolicy(True, True, True)
    images = jnp.asarray(IMAGES[:2])

    def penalty(images):
        def score(x):
            return jnp.sum(diffaugment.augment(key, x, 1.0, policy) ** 2)

        return jnp.sum(jax.grad(score)(images) ** 2)

    gradient = jax.grad(penalty)(images)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
