"""One latent at every resolution and fade."""

import numpy as np
import pytest

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.sampling.figures import growth

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_growth(growing, tile):
    figure = growth.growth(growing, [7]).pixels
    ws = growing.styles([7])
    for i, r in enumerate((4, 8, 16)):
        for j, fade in enumerate(growth.FADES):
            shown = tile(figure, (i, j), (3, 4), r)
            if r == 4 and fade < 1:
                np.testing.assert_array_equal(shown, 255)
                continue
            lod = LevelOfDetail(r, np.float32(fade))
            expected = growing.draw(ws, lod=lod)[0]
            np.testing.assert_array_equal(shown, expected)
            # The fade is the weight against the pixels of the resolution below.
            if r > 4:
                full, below = (
                    next(growing.batches(ws, lod=LevelOfDetail(n)))[0]
                    for n in (r, r // 2)
                )
                below = below.repeat(2, 0).repeat(2, 1)
                mixed = np.clip((fade * full + (1 - fade) * below + 1) * 127.5, 0, 255)
                assert abs(shown - mixed).max() <= 1


def test_each_seed_has_its_rows(growing):
    one, two = (growth.growth(growing, seeds).pixels for seeds in ([7], [7, 8]))
    pitch = (two.shape[0] - one.shape[0]) // 3
    assert two.shape[0] - one.shape[0] == 3 * pitch == 3 * 66
    images = two[:, -4 * 66 :]
    np.testing.assert_array_equal(images[: one.shape[0]], one[:, -4 * 66 :])


def test_only_resolutions_of_the_training_are_shown(growing):
    early = growing.__class__(
        growing.generator, growing.variables, LevelOfDetail(8, 0.5), growing.label
    )
    assert growth.growth(early, [7]).pixels.shape[0] < 3 * 66


def test_other_networks_are_refused(skip):
    with pytest.raises(ValueError, match="does not grow: it has images of resolution"):
        growth.growth(skip, [0])
