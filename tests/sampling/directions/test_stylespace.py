"""StyleSpace channels: their units, and which change images most."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions.affines import affines, channels
from stylegan_jax.sampling.directions.stylespace import parse_channels, stylespace
from tests.sampling.directions.conftest import at_layers

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def ws(g):
    return np.asarray(g.map(g.z(range(8)), "a" if g.classes else None))


def every_channel(g):
    return [
        (layer, c)
        for layer in range(6)
        for c in range(channels(g.generator, g.variables, layer))
    ]


def test_the_unit_is_the_deviation_of_the_channel(g, subject, w, ws):
    found = stylespace(subject, 5, ws, every_channel(g))
    assert len(found) == len(every_channel(g))
    by_layer = {}
    for layer, _, kernel in affines(g.generator, g.variables):
        by_layer.setdefault(layer, []).append(np.std(w @ kernel, axis=0, ddof=1))
    for direction, (layer, c) in zip(found, every_channel(g), strict=True):
        desired = np.concatenate(by_layer[layer])
        assert direction.name == f"stylespace_{layer}_{c}"
        assert direction.layers == (layer,)
        np.testing.assert_allclose(
            direction.vector, np.eye(len(desired))[c] * desired[c], 1e-4
        )


def test_the_change_is_that_of_images(g, subject, ws):
    chosen = every_channel(g)[::7]
    found = stylespace(subject, 5, ws, chosen)
    step = 0.05
    measured = []
    for direction in found:
        images = [
            g.shift_styles(direction, sign * step).synthesize(ws, dtype="float32")
            for sign in (1, -1)
        ]
        slope = (images[0] - images[1]) / (2 * step)
        measured.append(np.sqrt(np.mean(np.square(slope))))
    estimated = np.array([direction.facts["change"] for direction in found])
    measured = np.array(measured)
    seen = measured > 1e-5  # others end in a ReLU that is off
    ratio = estimated[seen] / measured[seen]
    # 32 random vectors: a standard error of a quarter for one channel.
    assert seen.sum() > 5 and 0.85 < np.median(ratio) < 1.15
    assert ratio.min() > 0.3 and ratio.max() < 2.5


def test_the_channels_that_change_images_most_come_first(g, subject, ws):
    everywhere = stylespace(subject, 5, ws, every_channel(g))
    changes = sorted((d.facts["change"] for d in everywhere), reverse=True)
    found = stylespace(subject, 3, ws)
    np.testing.assert_allclose([d.facts["change"] for d in found], changes[:3], 1e-5)
    found = stylespace(at_layers(subject, 2), 3, ws)
    assert {d.layers for d in found} == {(2,)}


@pytest.mark.parametrize("text", ["", "3", "3:x", "1:2;3:4", "-1:2", "1:2,"])
def test_channels_that_cannot_be_parsed(text):
    with pytest.raises(ValueError, match="must be LAYER:CHANNEL"):
        parse_channels(text)
    assert parse_channels(" 2:17,3:5") == [(2, 17), (3, 5)]


def test_channels_that_do_not_exist(subject, ws):
    for key, message in (
        ((6, 0), "layers of this network are 0 to 5, and layer 6 has"),
        ((0, 999), "channel 0:999 must be one that varies"),
    ):
        with pytest.raises(ValueError, match=message):
            stylespace(subject, 1, ws, [key])
    with pytest.raises(ValueError, match=r"number of directions \(=9999\) must be"):
        stylespace(subject, 9999, ws)
