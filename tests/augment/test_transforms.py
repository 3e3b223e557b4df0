"""Augmentation, compared with the official code for the same random numbers."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.augment import transforms
from stylegan_jax.augment.policies import POLICIES, Policy
from stylegan_jax.layers.bands import band_filters
from stylegan_jax.layers.warp import SYM6
from tests import goldens, tiny
from tests.training.replay import percentile_numbers

# Relative to the rms. The official float32 errs by up to 5e-6 (images) and 1.5e-5
# (gradients) of the maximum, and its margins differ.
IMAGES, GRADIENTS, MATRICES = 2e-5, 1e-4, 2e-6
ALL = POLICIES["bgcfnc"]


def same_numbers(batch: int, gate: float = 0.0, **values) -> transforms.Numbers:
    """Return numbers, by name of the transform, that are equal for all images."""
    values = {
        name: jnp.broadcast_to(jnp.float32(value), (batch, *np.shape(value)))
        for name, value in values.items()
    }
    return transforms.Numbers(
        values, dict.fromkeys(values, jnp.full(batch, gate)), None
    )


def load(name: str) -> tuple[dict[str, np.ndarray], dict]:
    path = goldens.path(f"stylegan2_and_3/{name}.json")
    arrays = goldens.arrays(f"stylegan2_and_3/{name}.npz")
    return arrays, json.loads(path.read_text())


def to_float(images_uint8: np.ndarray) -> np.ndarray:
    return goldens.nhwc(images_uint8).astype(np.float32) / 127.5 - 1


def assert_plan(
    plan: transforms.Plan, expected: dict[str, np.ndarray], rows: slice, name
):
    """Compare the matrices and gains of some images that the file contains."""
    ours = {"G_inv": plan.inverse, "C": plan.color, "filter_gain": plan.band_gains}
    assert set(expected) <= {*ours, "margin_x0y0x1y1"}
    for key in ours.keys() & expected.keys():
        actual = ours[key][rows]
        # The file has the gains of the whole batch and the matrices of some images.
        count = min(len(actual), len(expected[key]))
        goldens.assert_close(
            actual[:count], expected[key][:count], MATRICES, f"{name} {key}"
        )


def run(images, numbers, policy, probability=1.0, cotangents=None):
    """Return plan, images and the gradient of sum(images * cotangents) by the input."""

    def both(images, numbers, cotangents):
        plan = transforms.plan(numbers, images.shape, probability, policy)
        out, pull_back = jax.vjp(lambda x: transforms.execute(x, plan), images)
        return plan, out, pull_back(cotangents)[0]

    if cotangents is None:
        cotangents = np.zeros_like(images)
    with tiny.quick_compilation():
        return jax.jit(both)(images, numbers, cotangents)


@pytest.mark.parametrize("name", ["E1_single_res32", "E2_single_res64"])
def test_single_transforms(name):
    """Run every transform by itself at three strengths, in one batch."""
    arrays, settings = load(name)
    cases = [(t, p) for t in settings["transforms"] for p in settings["percentiles"]]
    image = to_float(arrays["in/img_u8"])[:1]
    images = np.repeat(image, len(cases), axis=0)
    noise = np.repeat(goldens.nhwc(arrays["in/noise_raw"])[:1], len(cases), axis=0)
    each = [percentile_numbers(image.shape, transforms.TRANSFORMS, p) for _, p in cases]
    values, gates, _ = jax.tree.map(lambda *x: jnp.concatenate(x), *each)
    for transform in gates:
        off = np.array([transform != t for t, _ in cases])
        gates[transform] = jnp.where(
            off.reshape(-1, *[1] * (gates[transform].ndim - 1)), 1.0, gates[transform]
        )
    numbers = transforms.Numbers(values, gates, noise)
    plan, out, _ = run(images, numbers, ALL)
    for i, (transform, percentile) in enumerate(cases):
        case = f"{transform}/p{percentile}"
        assert_plan(plan, goldens.below(arrays, f"mat/{case}/"), slice(i, i + 1), case)
        expected = goldens.nhwc(arrays[f"out/{case}"])
        actual = out[i : i + 1]
        if expected.shape != actual.shape:
            actual = actual[:, 24:40, 24:40]
        goldens.assert_close(actual, expected, IMAGES, case)


@pytest.mark.parametrize("resolution", [32, 64])
def test_all_transforms_combined(resolution):
    """Run one batch, whose first half has no filters, noise and cutout."""
    arrays, settings = load("E3_all_debug0.3")
    images = to_float(arrays[f"in/img_u8_{resolution}"])
    noise = goldens.nhwc(arrays[f"in/noise_raw_{resolution}"])
    numbers = percentile_numbers((8, *images.shape[1:]), transforms.TRANSFORMS, 0.3)
    for transform in ("imgfilter", "noise", "cutout"):
        numbers.gates[transform] = numbers.gates[transform].at[:4].set(1.0)
    numbers = numbers._replace(noise=np.concatenate([noise] * 2))
    cotangents = np.zeros((8, *images.shape[1:]), np.float32)
    cotangents[[0, 4]] = goldens.nhwc(arrays[f"in/cot_{resolution}"])
    plan, out, vjp = run(
        np.concatenate([images] * 2), numbers, ALL, cotangents=cotangents
    )
    for start, policy in ((0, "bgc"), (4, "bgcfnc")):
        case = f"{policy}_res{resolution}_p0.3"
        rows = slice(start, start + 4)
        assert_plan(plan, goldens.below(arrays, f"mat/{case}/"), rows, case)
        expected = goldens.nhwc(arrays[f"out/{case}"])
        goldens.assert_close(out[rows][: len(expected)], expected, IMAGES, case)
        expected = goldens.nhwc(arrays[f"vjp/{case}"])
        goldens.assert_close(vjp[rows][:1], expected, GRADIENTS, case)


def test_filters():
    """They are the official ones, and the bands add up to all frequencies."""
    arrays, _ = load("E3_all_debug0.3")
    goldens.assert_close(SYM6, arrays["const/Hz_geom"], 1e-6)
    goldens.assert_close(band_filters(), arrays["const/Hz_fbank"], 1e-6)
    goldens.assert_close(band_filters().sum(0), np.eye(43)[21], 1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "E4_random_bgc_res32",
        "E5_random_bgc_res64",
        "E6_random_all_res32",
        "E7_random_bgc_res32_l",
    ],
)
def test_recorded_draws(name):
    """Replay calls whose random numbers are all in the file."""
    arrays, settings = load(name)
    batch = settings["batch"]
    values, gates, noise = {}, {}, None
    for drawn in settings["draws"]:
        numbers = arrays[drawn["key"]]
        what = drawn["what"].partition(":")[0]  # e.g. "imgfilter band 0 gate"
        if what == "noise image":
            noise = goldens.nhwc(numbers)
            continue
        transform, into = what.split()[0], gates if what.endswith("gate") else values
        numbers = numbers.reshape(batch, -1)
        if transform == "imgfilter":  # four bands in turn
            before = into.get(transform, np.zeros((batch, 0), np.float32))
            into[transform] = np.concatenate([before, numbers], axis=1)
        else:
            into[transform] = numbers[:, 0] if numbers.shape[1] == 1 else numbers
    policy = Policy(**settings["pipe"])
    numbers = transforms.Numbers(values, gates, noise)
    plan, out, vjp = run(
        to_float(arrays["in/img_u8"]),
        numbers,
        policy,
        settings["p"],
        goldens.nhwc(arrays["in/cot"]),
    )
    assert_plan(plan, goldens.below(arrays, "mat/run/"), slice(None), name)
    goldens.assert_close(out, goldens.nhwc(arrays["out/img"]), IMAGES, name)
    goldens.assert_close(vjp[:1], goldens.nhwc(arrays["vjp/img_0"]), GRADIENTS, name)


@pytest.fixture(scope="module")
def rectangles() -> np.ndarray:
    """Return two RGBA images of 8x16."""
    return np.random.default_rng(0).normal(size=(2, 8, 16, 4)).astype(np.float32)


def test_probability_zero_is_the_identity():
    """Draw all transforms of gray images, but apply none."""
    images = np.random.default_rng(0).normal(size=(2, 22, 24, 1)).astype(np.float32)
    out = jax.jit(transforms.augment, static_argnums=3)(
        jax.random.key(0), images, 0.0, ALL
    )
    goldens.assert_close(out, images, 1e-5)


def test_no_policy_leaves_images_alone(rectangles):
    out = transforms.augment(None, rectangles, 1.0, POLICIES["none"])
    assert out is rectangles


def test_geometry_of_rectangles(rectangles):
    """Shift by whole pixels; mirror smooth images and turn them upside down.

    The wavelet is not symmetric, so the latter two are not exact.
    """
    pixels = POLICIES["b"]
    _, out, _ = run(rectangles, same_numbers(2, xint=(1.0, 1.0)), pixels)
    # Shift by 0.125 of each side: 2 pixels to the right, 1 down.
    mirrored = np.pad(rectangles, ((0, 0), (1, 0), (2, 0), (0, 0)), "reflect")
    goldens.assert_close(out, mirrored[:, :-1, :-2], 1e-5)
    y, x = (np.cos(np.pi * np.arange(n) / (n - 1)) for n in (8, 16))
    smooth = np.stack([y[:, None] + x, y[:, None] * x, y[:, None] - x], -1)
    smooth = smooth[None].astype(np.float32)
    _, out, _ = run(smooth, same_numbers(1, xflip=0.5), pixels)
    np.testing.assert_allclose(out, smooth[:, :, ::-1], atol=0.03)
    _, out, _ = run(smooth, same_numbers(1, rotate90=0.5), pixels)
    np.testing.assert_allclose(out, smooth[:, ::-1, ::-1], atol=0.1)


def test_color_keeps_alpha_and_the_mean_of_channels(rectangles):
    """Hue and saturation change neither alpha nor gray."""
    policy = POLICIES["bgc"]
    numbers = same_numbers(2, hue=0.7, saturation=0.4)
    _, out, _ = run(rectangles, numbers, policy)
    np.testing.assert_array_equal(out[..., 3], rectangles[..., 3])
    goldens.assert_close(out.mean(-1), rectangles.mean(-1), 1e-5)
    assert np.abs(out - rectangles)[..., :3].max() > 0.1
    _, out, _ = run(rectangles[..., :1], numbers, policy)
    goldens.assert_close(out, rectangles[..., :1], 1e-5)


def test_other_numbers_of_channels_are_rejected(rectangles):
    with pytest.raises(ValueError, match="2 channels; augmentation takes 1 "):
        run(rectangles[..., :2], same_numbers(2, xflip=0.5), ALL)


def test_filters_reject_small_images(rectangles):
    numbers = same_numbers(2, imgfilter=np.zeros(4))
    numbers.gates["imgfilter"] = jnp.zeros((2, 4))
    with pytest.raises(ValueError, match="are 8 pixels .* need at least 22"):
        run(rectangles, numbers, ALL)


def test_frequency_of_transforms():
    """Each has the probability, as have the two rotations together."""
    shape, p = (4096, 2, 2, 3), 0.3
    numbers = transforms.draw(jax.random.key(1), shape, ALL)
    chex.assert_shape(numbers.noise, shape)
    amounts = transforms._amounts(numbers, shape[0], p, ALL)
    amounts["rotated"] = amounts.pop("rotate") != 0
    amounts["rotated"] |= amounts.pop("rotate_post") != 0
    chances = {"xflip": p / 2, "lumaflip": p / 2, "rotate90": p * 3 / 4}
    for name, amount in amounts.items():
        per_image = np.reshape(amount != 0, (shape[0], -1)).astype(float)
        deviation = np.sqrt(0.25 / shape[0])
        chance = chances.get(name, p)
        np.testing.assert_allclose(per_image.mean(0), chance, atol=5 * deviation)


def test_numbers_of_a_transform_do_not_depend_on_others():
    few, many = (
        transforms.draw(jax.random.key(2), (4, 2, 2, 3), POLICIES[name])
        for name in ("bg", "bgcfnc")
    )
    for name, value in few.values.items():
        np.testing.assert_array_equal(value, many.values[name])
        np.testing.assert_array_equal(few.gates[name], many.gates[name])
    drawn = [np.ravel(x) for x in jax.tree.leaves((many.values, many.gates))]
    drawn = np.concatenate(drawn)
    assert len(np.unique(drawn)) == len(drawn)
