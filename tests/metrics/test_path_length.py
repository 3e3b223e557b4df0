"""Perceptual path length against the official numbers."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from stylegan_jax import interop
from stylegan_jax.metrics.path_length import (
    Path,
    average_down,
    crop_face,
    rgb_over_white,
    step_images,
    trim_outliers,
    with_new_noise,
)
from tests import goldens
from tests.metrics import golden_sets


class TestImages(chex.TestCase):
    """The steps from a generator's images to those that LPIPS compares."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_crop_is_the_official_one(self):
        """The official code also maps [-1, 1] to [0, 255], which crop_face does not."""
        official = goldens.arrays("stylegan1/metrics.npz")
        images = goldens.nhwc(official["in/images_64"])
        cropped = np.asarray(self.variant(crop_face)(images))
        expected = goldens.nhwc(official["out/ppl_crop_64"])
        goldens.assert_close((cropped + 1) * 127.5, expected, 1e-6)

    @parameterized.parameters(8, 32, 1024)
    def test_crop_takes_the_same_part_at_any_resolution(self, resolution):
        rows, columns = np.mgrid[:resolution, :resolution] / resolution
        images = np.stack([rows, columns], axis=-1)[None]
        cropped = crop_face(images)
        assert cropped.shape == (1, resolution // 2, resolution // 2, 2)
        step = 1 / resolution
        np.testing.assert_allclose(cropped[0, 0, 0], [3 / 8, 2 / 8])
        np.testing.assert_allclose(cropped[0, -1, -1], [7 / 8 - step, 6 / 8 - step])

    @parameterized.parameters((1, 4, 4, 3), (1, 16, 8, 3), (1, 12, 12, 3))
    def test_crop_refuses_other_sizes(self, *shape):
        with pytest.raises(ValueError, match="multiple of 8"):
            crop_face(np.zeros(shape))

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        (1024, 1024, 4),
        (768, 768, 3),
        (768, 1024, 2),
        (1280, 768, 2),
        (1024, 1280, 4),
        (640, 896, 2),
        (511, 600, 1),
        (64, 64, 1),
    )
    def test_blocks_that_divide_both_sides_are_averaged(self, height, width, factor):
        rows = np.arange(height, dtype=np.float32)[:, None] + np.zeros((1, width))
        small = self.variant(average_down)(jnp.asarray(rows[None, :, :, None]))
        assert small.shape == (1, height // factor, width // factor, 1)
        expected = factor * np.arange(height // factor) + (factor - 1) / 2
        np.testing.assert_allclose(small[0, :, 0, 0], expected)

    @chex.variants(with_jit=True, without_jit=True)
    def test_transparent_pixels_are_white(self):
        red = np.array([1.0, -1.0, -0.5])
        pixels = np.array([[*red, 1.0], [*red, -1.0], [*red, 0.0], [*red, 1.5]])
        convert = self.variant(rgb_over_white)
        found = convert(jnp.asarray(pixels[None, None]))[0, 0]
        expected = [red, [1, 1, 1], (red + 1) / 2, red]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        gray = jnp.ones((1, 2, 2, 1)) * 0.25
        np.testing.assert_array_equal(convert(gray), np.full((1, 2, 2, 3), 0.25))


@pytest.mark.parametrize("case", ["a", "b"])
def test_reduction_is_the_official_one(case):
    official = goldens.arrays("stylegan1/metrics.npz")
    distances = official[f"in/distances_{case}"]
    low, high, count = official[f"out/ppl_lo_hi_count_{case}"]
    actual = np.mean(trim_outliers(distances))
    # Summation order of float32 is all that can differ.
    np.testing.assert_allclose(actual, official[f"out/ppl_{case}"], rtol=1e-6)
    kept = distances[(distances >= low) & (distances <= high)]
    assert len(kept) == count
    np.testing.assert_array_equal(trim_outliers(distances), kept)


def test_reduction_keeps_the_bounds_and_drops_what_is_beyond():
    # 1 % and 99 % of 0..200 fall exactly on 2 and 198, which count.
    distances = np.arange(201.0)
    distances[200] = 1e9
    distances[0] = -1e6
    np.testing.assert_array_equal(trim_outliers(distances), np.arange(2, 199))
    # Between two distances the outer one is the bound: nothing is dropped here.
    assert len(trim_outliers(np.array([1.0, 2.0, 6.0]))) == 3


@pytest.mark.parametrize("distances", [[], [1.0, np.nan], [np.inf]])
def test_reduction_refuses_what_is_not_finite(distances):
    with pytest.raises(ValueError, match="not finite"):
        trim_outliers(np.array(distances))


@pytest.mark.parametrize("name", ["n1000", "n100", "n37", "n10"])
def test_reduction_of_every_published_case(name):
    case = golden_sets.cases("ppl")[name]
    count = int(name[1:])
    kept = trim_outliers(np.exp(3 * golden_sets.uniform(f"ppl/{count}", (count,))))
    assert len(kept) == case["kept"]
    np.testing.assert_allclose(
        [kept.mean(), kept.min(), kept.max()],
        [case["mean"], case["lo"], case["hi"]],
        rtol=1e-12,
    )


def test_stylegan3s_own_reduction():
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    kept = trim_outliers(official["in/ppl_dist"].astype(np.float64))
    np.testing.assert_allclose(kept.mean(), official["f64/ppl_trimmed_mean"], rtol=1e-6)
    np.testing.assert_allclose(
        [kept.min(), kept.max()], official["out/ppl_lo_hi"], rtol=1e-6
    )


@pytest.fixture(scope="module")
def sampler():
    """NVIDIA's sampler with a small network and a linear map for LPIPS."""
    name = "stylegan2_and_3/G2_ppl_sampler"
    data = goldens.arrays(f"{name}.npz")
    kwargs = json.loads(goldens.path(f"{name}.json").read_text())["kwargs"]
    widths = {name: kwargs.pop(name) for name in ("channel_base", "channel_max")}
    kwargs["synthesis_kwargs"] = widths
    parameters = goldens.below(data, "param/") | goldens.below(data, "in/noise/")
    generator, variables = interop.from_official(
        parameters, source="stylegan2-ada-pytorch", network="generator", **kwargs
    )
    return data, generator, variables


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("space", ["z", "w"])
def test_sampler_is_the_official_one(sampler, space, whole):
    data, generator, variables = sampler
    tolerances = {1e-2: 2e-4, 1e-4: 0.03}  # by epsilon
    paths = [
        Path(space, whole, crop, epsilon)
        for crop in (False, True)
        for epsilon in tolerances
    ]

    @jax.jit  # one program, because crops of the same images compile them once
    def distances(variables, z, labels, times, matrices):
        found = []
        for path in paths:
            a, b = step_images(generator, variables, *z, labels, times, path)
            # Features of pictures in 0 to 255, flattened in the order C, H, W.
            difference = jnp.moveaxis(127.5 * (a - b), -1, 1).reshape(len(a), -1)
            found.append(jnp.sum((difference @ matrices[path.crop]) ** 2, axis=1))
        return found

    z = data["in/z01"].reshape(2, 4, -1)
    times = data["in/t"] * whole
    matrices = (data["in/featmat"], data["in/featmat_crop"])
    found = distances(variables, z, data["in/c"], times, matrices)
    for path, distance in zip(paths, found, strict=True):
        key = f"out/dist_{space}_{'full' if whole else 'end'}_crop{int(path.crop)}"
        expected = data[f"{key}_eps{path.epsilon:g}"]
        # The official numbers have as much float32 noise; see fp32_noise of the file.
        tolerance = tolerances[path.epsilon] * np.max(np.abs(expected))
        np.testing.assert_allclose(
            distance / path.epsilon**2, expected, atol=tolerance, err_msg=str(path)
        )


def test_times_are_those_of_the_path():
    rng = np.random.RandomState(0)
    assert np.all(Path("w", False, False).times(5, rng) == 0)
    times = Path("w", True, False).times(500, rng)
    assert times.dtype == np.float32
    assert 0 <= times.min() < 0.1 < 0.9 < times.max() <= 1


def test_noise_is_drawn_anew(sampler):
    _, _, variables = sampler
    first, again, other = (
        with_new_noise(variables, jax.random.key(k)) for k in (0, 0, 1)
    )
    maps = [jax.tree.leaves(v["noise"]) for v in (variables, first, again, other)]
    assert len(maps[0]) == 5
    for old, a, b, c in zip(*maps, strict=True):
        assert old.shape == a.shape
        np.testing.assert_array_equal(a, b)
        assert not np.allclose(a, c) and not np.allclose(a, old)
    assert first["params"] is variables["params"]


class Flat:
    """A generator of RGBA rectangles: color w / 2, alpha w."""

    resolution, base_size = 768, (3, 4)

    def apply(self, variables, x, *rest, method, **settings):
        if method == "map":
            return x[:, None]
        height, width = (side * self.resolution // 4 for side in self.base_size)
        pixel = x[:, 0, :1] * np.array([0.5, 0.5, 0.5, 1.0], np.float32)
        return jnp.broadcast_to(pixel[:, None, None], (len(x), height, width, 4))


def test_steps_of_rgba_rectangles():
    z = np.array([[0.5]], np.float32), np.array([[1.5]], np.float32)
    path = Path("w", False, False, epsilon=0.25)
    with jax.disable_jit():
        ends = step_images(Flat(), {}, *z, None, np.zeros(1, np.float32), path)
    for end, w in zip(ends, (0.5, 0.75), strict=True):
        alpha = (w + 1) / 2
        expected = np.full((1, 288, 384, 3), w / 2 * alpha + 1 - alpha)
        np.testing.assert_allclose(end, expected, rtol=1e-6)
