"""Grids of cells, and noise that depends on neither batches nor cells."""

import chex
import numpy as np
import pytest

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling import frames, interpolation
from stylegan_jax.sampling.noise import maps_between
from stylegan_jax.sampling.seeds import keyframe_labels
from stylegan_jax.sampling.synthesis import synthesize

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_keyframes_are_dealt_out_cell_by_cell():
    dealt = frames.deal(np.arange(6)[:, None], 2)
    np.testing.assert_array_equal(dealt[..., 0], [[0, 3], [1, 4], [2, 5]])
    for count, options in ((7, "6 or 9"), (2, "3")):
        with pytest.raises(ValueError) as raised:
            frames.deal(np.zeros((count, 8)), 3)
        assert str(raised.value) == (
            f"the number of seeds or latents (={count}) must be divisible by the 3 "
            f"cells of the grid; use {options}"
        )


def test_grids_are_width_by_height():
    assert frames.parse_grid("4x2") == (4, 2)
    for text in ("4", "0x2", "4x", "ax2", "-1x2"):
        with pytest.raises(ValueError, match="must be WIDTHxHEIGHT in cells, such as"):
            frames.parse_grid(text)


def test_classes_are_given_to_keyframes_in_turn():
    names = ("a", "b", "c, d")
    rows = keyframe_labels("a, 1", None, names, 5)
    np.testing.assert_array_equal(np.argmax(rows, 1), [0, 1, 0, 1, 0])
    one = keyframe_labels("c, d", None, names, 2)
    np.testing.assert_array_equal(one, [[0, 0, 1]] * 2)
    np.testing.assert_array_equal(
        keyframe_labels(None, "0,.5,.5", names, 2), [[0, 0.5, 0.5]] * 2
    )
    assert keyframe_labels(None, None, (), 2) is None
    with pytest.raises(ValueError, match="names 3 classes for 2 keyframes; add seeds"):
        keyframe_labels("a,b,a", None, names, 2)
    with pytest.raises(ValueError, match=r"class \(='x'\) must be one of a, b, c, d"):
        keyframe_labels("a,x", None, names, 2)
    with pytest.raises(ValueError, match="was given to a network without labels"):
        keyframe_labels("a,b", None, (), 2)


def draw(network, ws, count=5, **options):
    """Return the frames between keyframes ws [K,cells,L,W]."""
    positions = interpolation.positions(len(ws), 3, closed=True)[:count]
    batches = list(
        frames.render(
            *network,
            interpolation.path(ws, "linear", closed=True),
            positions,
            period=len(ws),
            lod=LevelOfDetail(16),
            **options,
        )
    )
    chex.assert_type(batches, np.uint8)
    return np.concatenate(batches)


def assert_same(a, b):
    """Assert that images agree up to the rounding of other batches."""
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize("noise", frames.NOISE_MODES)
def test_frames_do_not_depend_on_the_batch(network, ws, noise):
    keyframes = frames.deal(np.asarray(ws)[:6], 2)
    options = {"grid": (2, 1), "noise": noise}
    one, several = (draw(network, keyframes, batch_size=b, **options) for b in (1, 5))
    chex.assert_shape(one, (5, 16, 32, 3))
    assert_same(one, several)  # of one cell, and of two frames
    seed = draw(network, keyframes, batch_size=5, noise_seed=1, **options)
    assert np.array_equal(several, seed) == (noise in ("const", "none"))


def test_cells_show_their_images(network, ws):
    keyframes = frames.deal(np.asarray(ws)[:4], 2)
    drawn = draw(network, keyframes, 1, grid=(1, 2), scale=2)
    images = to_uint8(synthesize(*network, np.asarray(ws)[[0, 2]]))
    chex.assert_shape(drawn, (1, 64, 32, 3))
    stacked = images.reshape(32, 16, 3)
    for y in range(2):
        for x in range(2):
            assert_same(drawn[0, y::2, x::2], stacked)


def test_animated_noise_is_smooth_and_random_noise_is_not(network, ws):
    still = np.repeat(np.asarray(ws)[:1, None], 2, axis=0)

    def steps(noise, count):
        positions = interpolation.positions(2, count, closed=True)
        drawn = np.concatenate(
            list(
                frames.render(
                    *network,
                    interpolation.path(still, "linear", closed=True),
                    positions,
                    period=2,
                    noise=noise,
                )
            )
        ).astype(float)
        return np.abs(np.diff(drawn, axis=0, append=drawn[:1])).mean((1, 2, 3))

    assert steps("const", 4).max() == 0
    assert steps("random", 4).min() > 10
    coarse, fine = steps("animated", 4), steps("animated", 32)
    assert fine.min() > 0 and fine.max() < 0.25 * coarse.max()  # also in the last step


def test_animated_noise_has_unit_variance(network):
    _, variables = network
    fraction = np.linspace(0, 1, 200)
    first, second = np.zeros(200, int), np.ones(200, int)
    maps = maps_between(variables, 7, first, second, fraction)["noise"]
    for name, block in maps.items():
        for layer in block.values():
            values = np.asarray(layer["const"])
            assert values.shape[0] == 200, name
    largest = max(
        (np.asarray(x["const"]) for b in maps.values() for x in b.values()),
        key=lambda x: x.size,
    )
    np.testing.assert_allclose(largest.std((1, 2, 3)), 1, atol=0.25)
    ends = maps_between(variables, 7, first[:1], first[:1], fraction[:1])["noise"]
    chex.assert_trees_all_close(
        ends,
        {
            k: {n: {"const": x["const"][:1]} for n, x in b.items()}
            for k, b in maps.items()
        },
    )
