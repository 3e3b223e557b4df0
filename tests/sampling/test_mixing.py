"""The style-mixing figure of a small generator."""

import chex
import jax
import numpy as np
import pytest

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.stylegan1 import Generator, LayerOptions
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling import labeled_grid, mixing, synthesis
from stylegan_jax.sampling.synthesis import synthesize

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize(
    ("resolution", "coarse", "middle", "fine"),
    [
        (16, (0, 2), (2, 4), (4, 6)),
        (32, (0, 2), (2, 4), (4, 8)),
        (64, (0, 4), (4, 8), (8, 10)),
        (1024, (0, 4), (4, 8), (8, 18)),
    ],
)
def test_style_ranges(resolution, coarse, middle, fine):
    """At 1024 the paper has 4-8, 16-32 and 64-1024 pixels, two layers each."""
    expected = {"coarse": coarse, "middle": middle, "fine": fine}
    assert mixing.style_ranges(Generator(1024), resolution) == {
        name: range(*ends) for name, ends in expected.items()
    }


def test_a_generator_without_styles_has_only_a_coarse_latent():
    generator = Generator(64, options=LayerOptions(styles=False))
    assert generator.num_ws == 1
    ranges = mixing.style_ranges(generator, 64)
    assert [list(layers) for layers in ranges.values()] == [[0], [], []]


def test_too_few_resolutions_for_mixing_raise():
    with pytest.raises(ValueError, match="resolution 16; this one has reached 8,"):
        mixing.style_ranges(Generator(16), 8)


@pytest.mark.parametrize("name", ["coarse", "middle", "fine"])
def test_style_mixing_copies_the_given_layers(name):
    layers = mixing.style_ranges(Generator(16), 16)[name]
    random = np.random.RandomState(0)
    sources = random.randn(3, 6, 4).astype("float32")
    targets = random.randn(2, 6, 4).astype("float32")
    mixed = mixing.mixed_styles(sources, targets, layers)
    assert mixed.shape == (2, 3, 6, 4)
    for i, j, layer in np.ndindex(2, 3, 6):
        expected = sources[j] if layer in layers else targets[i]
        np.testing.assert_array_equal(mixed[i, j, layer], expected[layer])


def test_the_figure(network, ws):
    ws, lod = np.asarray(ws), LevelOfDetail(16)
    rows = {"coarse": ws[:2], "middle": ws[2:3], "fine": ws[3:4]}
    figure = mixing.mixing_figure(*network, ws[4:], rows, lod=lod)
    side = 64  # 16 pixels, four times as large
    pitch = side + labeled_grid.GAP
    width = labeled_grid.LABEL_PIXELS + pitch * 4
    assert figure.shape == (pitch * 5, width, 3) and figure.dtype == np.uint8

    def tile(row, column):
        y, x = row * pitch, labeled_grid.LABEL_PIXELS + column * pitch
        return figure[y : y + side, x : x + side][::4, ::4]

    np.testing.assert_array_equal(tile(0, 0), np.full((16, 16, 3), 255))
    top = to_uint8(synthesize(*network, ws[4:], lod=lod))
    left = to_uint8(synthesize(*network, ws[:4], lod=lod, batch_size=1))
    assert np.std(left.astype(float) - left.mean(0)) > 10  # they do differ
    for i in range(3):
        np.testing.assert_array_equal(tile(0, 1 + i), top[i])
    for i in range(4):
        close(tile(1 + i, 0), left[i])
    kinds = ["coarse", "coarse", "middle", "fine"]
    for i, j in np.ndindex(4, 3):
        layers = list(mixing.style_ranges(Generator(16), 16)[kinds[i]])
        mixed = ws[i].copy()
        mixed[layers] = ws[4 + j, layers]
        expected = synthesize(*network, mixed[None], lod=lod)[0]
        close(tile(1 + i, 1 + j), to_uint8(expected))
    names = figure[:, : labeled_grid.LABEL_PIXELS].reshape(5, pitch, -1)
    assert [(row < 255).any() for row in names] == [False, True, True, True, True]


def test_one_program_draws_the_figure(network, ws, monkeypatch):
    """Its rows have different numbers of images: 19 images are two batches of 16."""
    traced = chex.assert_max_traces(synthesis._synthesize.__wrapped__, n=1)
    program = jax.jit(traced, static_argnums=(0, 4))
    monkeypatch.setattr(synthesis, "_synthesize", program)
    rows = {"coarse": ws[:2], "middle": ws[2:3], "fine": ws[3:4]}
    mixing.mixing_figure(*network, ws[4:], rows, lod=LevelOfDetail(16))


def test_the_figure_of_chosen_layers(network, ws):
    """Layers that are not contiguous; no layer keeps the image on the left."""
    ws, lod = np.asarray(ws), LevelOfDetail(16)
    layers = {"a": (0, 3), "none": ()}
    rows = {"a": ws[:1], "none": ws[:1]}
    figure = mixing.mixing_figure(*network, ws[4:6], rows, lod=lod, layers=layers)
    pitch = 64 + labeled_grid.GAP
    cells = figure[:, figure.shape[1] - 3 * pitch :]
    cells = cells.reshape(3, pitch, 3, pitch, 3).swapaxes(1, 2)[:, :, :64:4, :64:4]
    mixed = np.repeat(ws[:1], 2, axis=0)
    mixed[:, [0, 3]] = ws[4:6, [0, 3]]
    expected = to_uint8(synthesize(*network, mixed, lod=lod))
    assert abs(expected.astype(int) - cells[1, 0]).mean() > 5
    for j in (0, 1):
        close(cells[1, j + 1], expected[j])
        close(cells[2, j + 1], cells[1, 0])
    early = LevelOfDetail(8)
    with pytest.raises(ValueError) as raised:
        mixing.mixing_figure(
            *network, ws, {"a": ws}, lod=early, layers={"a": range(3, 6)}
        )
    assert str(raised.value) == (
        "style layers [4, 5] must be from 0 to 3, the layers of images of resolution 8"
    )


def close(actual, desired):
    """Compare up to rounding, as batches of other sizes have other programs."""
    difference = actual.astype(int) - desired
    assert abs(difference).max() <= 1 and (difference == 0).mean() > 0.95
