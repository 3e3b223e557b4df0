"""Images in named rows and columns."""

import chex
import numpy as np
import pytest

from stylegan_jax.sampling.labeled_grid import GAP, LABEL_PIXELS, labeled_grid


def test_images_are_in_their_places():
    random = np.random.RandomState(0)
    large, small = (random.randint(0, 255, (n, n, 3), np.uint8) for n in (32, 8))
    gray = random.randint(0, 255, (32, 32, 1), np.uint8)
    figure = labeled_grid([[large, None], [small, gray]])
    chex.assert_shape(figure, (2 * (64 + GAP), 2 * (64 + GAP), 3))
    np.testing.assert_array_equal(figure[:64:2, :64:2], large)
    np.testing.assert_array_equal(figure[:66, 66:], 255)
    np.testing.assert_array_equal(figure[66:130:8, :64:8], small)
    np.testing.assert_array_equal(figure[67:131:2, 67:131:2], gray.repeat(3, axis=2))
    assert figure.dtype == np.uint8


@pytest.mark.parametrize("side", [64, 512])
def test_names_are_written_beside_and_above(side):
    image = np.zeros((side, side, 4), np.uint8)  # transparent, so white
    figure = labeled_grid([[image] * 2] * 3, ["", "one", "two"], ["a", "longer\nname"])
    top = figure.shape[0] - 3 * (side + GAP)
    left = figure.shape[1] - 2 * (side + GAP)
    assert left >= LABEL_PIXELS and top > 20
    ink = figure.min(-1) < 128
    assert not ink[top:, left:].any() and not ink[: top + side, :left].any()
    for i in (1, 2):
        rows = ink[top + i * (side + GAP) :, :left][:side].any(1).nonzero()[0]
        assert abs(rows.mean() - side / 2) < side / 8  # in the middle of the row
    for j in (0, 1):
        columns = ink[:top, left + j * (side + GAP) :][:, :side].any(0).nonzero()[0]
        assert abs(columns.mean() - side / 2) < side / 8
    # Letters grow with the images.
    height = np.ptp(ink[:, :left].any(1).nonzero()[0][:12])
    assert height >= side / 64
