"""Seeds, batches, truncation and the style-mixing figure, on a small generator."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling import images, mixing, seeds
from tests import tiny


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("3, 7,10-12", [3, 7, 10, 11, 12]),
        ("5-5", [5]),
        ("2,2", [2, 2]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_seeds(text, expected):
    assert seeds.parse_seeds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "-1", "1,,2", "1-", "0-4294967296", "1.5", "1 2"]
)
def test_wrong_seeds_are_explained(text):
    with pytest.raises(ValueError, match="must be numbers or rising ranges") as raised:
        seeds.parse_seeds(text)
    assert f"seeds (={text!r})" in str(raised.value)


def test_latents_are_those_of_the_official_code():
    z = images.latents([3, 77], 512)
    assert z.shape == (2, 512) and z.dtype == np.float32
    expected = np.random.RandomState(77).randn(512).astype(np.float32)
    np.testing.assert_array_equal(z[1], expected)


def test_classes():
    names = ("cat", "dog", "7")
    assert seeds.one_hot(None, (), 2) is None
    assert seeds.labels(None, None, (), 2) is None
    np.testing.assert_array_equal(seeds.labels("dog", None, names, 1), [[0, 1, 0]])
    vector = seeds.labels(None, "0.5,-1,2e0", names, 2)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, [[0.5, -1, 2]] * 2)
    for wrong in [(None, "1,2"), (None, "1,2,nan"), (None, "a"), ("dog", "1,2,3")]:
        with pytest.raises(ValueError, match="must be 3 numbers with commas between"):
            seeds.labels(*wrong, names, 2)
    np.testing.assert_array_equal(seeds.one_hot("dog", names, 2), [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(seeds.one_hot("0", names, 1), [[1, 0, 0]])
    np.testing.assert_array_equal(seeds.one_hot("7", names, 1), [[0, 0, 1]])
    with pytest.raises(ValueError, match="given to a network without labels"):
        seeds.one_hot("dog", (), 2)
    for wrong in (None, "cow", "3", "-1"):
        with pytest.raises(ValueError, match="must be one of .* or an index below 3"):
            seeds.one_hot(wrong, names, 2)


@pytest.fixture(scope="module")
def network():
    """A generator whose every variable, the noise's too, has an effect."""
    e = tiny.experiment()
    generator, _ = models.build(e.model, e.data, 0)
    variables = jax.jit(generator.init)(jax.random.key(0), jnp.zeros((1, 8)))
    random = np.random.RandomState(0)

    def draw(path, leaf):
        # Undoes the mapping's learning rate multiplier, so that ws are of order one.
        scale = 100 if "mapping" in jax.tree_util.keystr(path) else 1
        return jnp.float32(scale * random.randn(*leaf.shape))

    return generator, jax.tree_util.tree_map_with_path(draw, variables)


@pytest.fixture(scope="module")
def ws(network):
    return images.styles(*network, images.latents(list(range(7)), 8))


def test_the_size_of_batches_has_no_effect(network, ws):
    assert ws.shape == (7, 6, 8)
    whole = images.synthesize(*network, ws)
    assert whole.shape == (7, 16, 16, 3)
    direct = network[0].apply(
        network[1], images.latents(list(range(7)), 8), noise="const"
    )
    scale = np.abs(direct).max()
    for other in (
        direct,
        *(images.synthesize(*network, ws, batch_size=b) for b in (1, 3)),
    ):
        np.testing.assert_allclose(whole, other, atol=1e-5 * scale, rtol=0)


def test_one_program_serves_all_fades_of_a_resolution(network, ws):
    def draw(lod):
        return images.synthesize(*network, ws, lod=lod)

    half = draw(LevelOfDetail(16, 0.5))
    programs = images._synthesize._cache_size()
    one = draw(LevelOfDetail(16).with_traced_fade())
    for fade in (0.5, np.float32(0.5)):
        np.testing.assert_array_equal(draw(LevelOfDetail(16, fade)), half)
    assert images._synthesize._cache_size() == programs
    scale = np.abs(one).max()
    np.testing.assert_allclose(draw(LevelOfDetail(16)), one, atol=1e-5 * scale, rtol=0)
    assert not np.allclose(half, one, atol=0.01 * scale)


def test_noise_modes(network, ws):
    def draw(**kwargs):
        return images.synthesize(*network, ws, **kwargs)

    const, none, random = (draw(noise=n) for n in ("const", "none", "random"))
    assert not np.allclose(const, none) and not np.allclose(const, random)
    np.testing.assert_array_equal(random, draw(noise="random"))
    assert not np.allclose(random, draw(noise="random", noise_seed=1))
    same = images.synthesize(*network, ws[:1].repeat(2, axis=0), noise="random")
    assert not np.allclose(same[0], same[1])  # each image has noise of its own
    # The batches do not share theirs.
    apart = images.synthesize(
        *network, ws[:1].repeat(2, axis=0), noise="random", batch_size=1
    )
    assert not np.allclose(apart[0], apart[1])


def test_no_psi_gives_the_average_image(network):
    generator, variables = network
    z = images.latents([1, 2, 3], 8)
    ws = images.styles(generator, variables, z, truncation_psi=0.0)
    average = np.broadcast_to(variables["stats"]["w_avg"], ws.shape)
    np.testing.assert_array_equal(ws, average)
    drawn = images.synthesize(generator, variables, ws)
    assert (drawn == drawn[0]).all()
    free = images.styles(generator, variables, z)
    cut = images.styles(
        generator, variables, z, truncation_psi=0.0, truncation_cutoff=2
    )
    np.testing.assert_array_equal(cut[:, :2], ws[:, :2])
    np.testing.assert_allclose(cut[:, 2:], free[:, 2:], rtol=1e-5, atol=1e-6)


# Style mixing


@dataclasses.dataclass(frozen=True)
class ShowsStyles:
    """A generator whose images are its styles: [B,L,W] -> [B,L,W,1]."""

    resolution: int = 16

    def clone(self, winograd):
        return self

    def apply(self, variables, ws, **kwargs):
        return ws[..., None]


@pytest.mark.parametrize(
    ("resolution", "coarse", "middle", "fine"),
    [
        (16, (0, 2), (2, 4), (4, 6)),
        (32, (0, 2), (2, 4), (4, 8)),
        (64, (0, 4), (4, 8), (8, 10)),
        (1024, (0, 4), (4, 8), (8, 18)),
    ],
)
def test_what_is_coarse_and_fine(resolution, coarse, middle, fine):
    """At 1024 as in the paper: 4-8, 16-32 and 64-1024 pixels, two layers each."""
    expected = {"coarse": coarse, "middle": middle, "fine": fine}
    assert mixing.style_ranges(resolution) == {
        name: range(*ends) for name, ends in expected.items()
    }


def test_too_small_for_mixing():
    with pytest.raises(ValueError, match="resolution 16, this one has reached 8;"):
        mixing.style_ranges(8)


@pytest.mark.parametrize("name", ["coarse", "middle", "fine"])
def test_mixing_takes_the_intended_layers(name):
    layers = mixing.style_ranges(16)[name]
    random = np.random.RandomState(0)
    sources = random.randn(3, 6, 4).astype("float32")
    targets = random.randn(2, 6, 4).astype("float32")
    mixed = mixing.style_mixing(ShowsStyles(), {}, sources, targets, layers)[..., 0]
    assert mixed.shape == (3, 2, 6, 4)
    for i, j, layer in np.ndindex(3, 2, 6):
        expected = sources[i] if layer in layers else targets[j]
        np.testing.assert_array_equal(mixed[i, j, layer], expected[layer])


def test_the_figure(network, ws):
    rows = {"coarse": ws[:2], "middle": ws[2:3], "fine": ws[3:4]}
    figure = mixing.mixing_figure(*network, ws[4:], rows, lod=LevelOfDetail(16))
    side = 64  # 16 pixels, four times as large
    pitch = side + mixing.GAP
    width = mixing.LABEL_PIXELS + pitch * 4
    assert figure.shape == (pitch * 5, width, 3) and figure.dtype == np.uint8

    def tile(row, column):
        y, x = row * pitch, mixing.LABEL_PIXELS + column * pitch
        return figure[y : y + side, x : x + side][::4, ::4]

    np.testing.assert_array_equal(tile(0, 0), np.full((16, 16, 3), 255))
    top = to_uint8(images.synthesize(*network, ws[4:]))
    left = to_uint8(images.synthesize(*network, ws[:4]))
    assert np.std(left.astype(float) - left.mean(0)) > 10  # they do differ
    for i in range(3):
        np.testing.assert_array_equal(tile(0, 1 + i), top[i])
    for i in range(4):
        close(tile(1 + i, 0), left[i])
    kinds = ["coarse", "coarse", "middle", "fine"]
    for i, j in np.ndindex(4, 3):
        layers = mixing.style_ranges(16)[kinds[i]]
        mixed = ws[i].at[jnp.array(layers)].set(ws[4 + j][jnp.array(layers)])
        expected = images.synthesize(*network, mixed[None])[0]
        close(tile(1 + i, 1 + j), to_uint8(expected))
    names = figure[:, : mixing.LABEL_PIXELS].reshape(5, pitch, -1)
    assert [(row < 255).any() for row in names] == [False, True, True, True, True]


def close(actual, desired):
    """Equal up to rounding, for batches of another size were another program."""
    difference = actual.astype(int) - desired
    assert abs(difference).max() <= 1 and (difference == 0).mean() > 0.95
