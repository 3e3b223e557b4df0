"""Noise at some layers, and its variation."""

import dataclasses

import numpy as np
import pytest

from stylegan_jax.sampling import noise as noises
from stylegan_jax.sampling.figures import noise

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("family", ["growing", "skip"])
def test_noise_at_some_layers(family, request, tile):
    sampler = request.getfixturevalue(family)
    figure = noise.noise(sampler, [1, 2]).pixels
    ws = sampler.styles([1, 2])
    # 4x4 is the lower half of three resolutions.
    coarse = {"growing": [0, 1], "skip": [0]}[family]
    fine = sorted(set(range(5 + (family == "growing"))) - set(coarse))
    columns = [
        sampler.draw(ws),
        sampler.draw(ws, noise="none"),
        sampler.draw(ws, noise_layers=fine),
        sampler.draw(ws, noise_layers=coarse),
    ]
    for i, j in np.ndindex(2, 4):
        shown = tile(figure, (i, j), (2, 4)).astype(int)
        assert abs(shown - columns[j][i]).max() <= 1
    differences = [abs(columns[0].astype(int) - c).mean() for c in columns[1:]]
    assert min(differences) > 1


def test_the_deviation_is_that_of_all_images(growing):
    w = growing.styles([4])[0]
    first, deviation = noise.noise_deviation(growing, w, 21)
    repeated = np.repeat(np.asarray(w)[None], 21, axis=0)
    images = np.concatenate(list(growing.batches(repeated, noise="random")))
    assert abs(images).max() > 1  # which the saved images cannot show
    images = images.clip(-1, 1).astype(np.float64)
    expected = np.sqrt(np.var(images, axis=0).mean(-1))
    np.testing.assert_allclose(deviation, expected, rtol=1e-5)
    assert first.shape == (4, 16, 16, 3) and expected.min() > 0
    assert not np.array_equal(first[0], first[1])
    # Exactly zero without variation.
    for kind in ("none", "const"):
        _, deviation = noise.noise_deviation(growing, w, 21, kind)
        np.testing.assert_array_equal(deviation, np.zeros((16, 16)))


def test_stochastic_variation(skip, tile):
    figure, lines = noise.stochastic(skip, [4, 5], 12)
    w = skip.styles([4, 5])
    for i in range(2):
        first, deviation = noise.noise_deviation(skip, w[i], 12)
        shown = tile(figure, (i, 5), (2, 6))
        expected = 255 * deviation / deviation.max()
        assert abs(shown - expected[..., None]).max() <= 1
        assert f"{127.5 * deviation.max():.2f} at most" in lines[i]
        y, x = noise._liveliest(deviation)
        for k in range(4):
            crop = first[k, y : y + 4, x : x + 4]
            np.testing.assert_array_equal(tile(figure, (i, k + 1), (2, 6), 4), crop)


def test_the_crop_is_where_noise_changes_most():
    deviation = np.full((16, 32), 0.1)
    deviation[5:9, 11:19] = 1
    assert noise._liveliest(deviation) == (5, 11)


def test_figures_of_noise_need_noise(growing):
    silent = noises.only_at(growing.generator, growing.variables, ())
    silent = dataclasses.replace(growing, variables=silent)
    for draw in (
        lambda: noise.noise(silent, [0]),
        lambda: noise.stochastic(silent, [0], 4),
    ):
        with pytest.raises(
            ValueError, match="all 6 noise inputs of this network are 0"
        ):
            draw()
    with pytest.raises(ValueError, match=r"realizations \(=3\) must be at least 4"):
        noise.stochastic(growing, [0], 3)
