"""Drags in tiny networks, and wrong input."""

import dataclasses
import re

import jax
import numpy as np
import pytest

import stylegan_jax
from benchmarks import inversion
from stylegan_jax import models
from stylegan_jax.inversion import drag, drag_settings, motion
from stylegan_jax.inversion.drag import Dragger, DragSettings
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
SETTINGS = DragSettings(steps=6, feature_resolution=8, learning_rate=0.1)


def dragger(family="stylegan2", settings=SETTINGS):
    if family == "stylegan3":  # whose layers all have the image's resolution
        settings = dataclasses.replace(settings, feature_resolution=16)
    return Dragger(small.network(family), settings)


def styles(g, seed=5):
    return np.asarray(g.map(g.z(seed)))[0]


@pytest.mark.parametrize("family", ["stylegan1", "stylegan2", "stylegan3"])
def test_frames_of_every_family(family):
    moving = dragger(family)
    g = moving.network
    ws = styles(g)
    frames = list(moving.drag(ws, [(5, 6)], [(11, 6)]))
    first, last = frames[0], frames[-1]
    assert [f.step for f in frames] == list(range(7))
    np.testing.assert_array_equal(first.ws, ws)
    np.testing.assert_array_equal(first.points, [[5, 6]])
    np.testing.assert_array_equal(first.distances, [6])
    np.testing.assert_array_equal(last.ws[moving.layers :], ws[moving.layers :])
    assert np.any(last.ws != ws)
    for frame in (first, last):
        image = g.synthesize(frame.ws[None])[0].astype(int)
        assert abs(image - frame.image).max() <= 1


@pytest.mark.parametrize("family", ["stylegan1", "stylegan2", "stylegan3"])
def test_features_have_the_image_in_their_middle(family):
    """Without the margin, the halves of the features are those of the image."""
    moving = dragger(family)
    g = moving.network
    features, pattern = drag._begin(
        moving._static, g.lod, g.variables, styles(g), np.array([[7.5, 7.5]], "f")
    )
    h, w, c = features.shape
    middle = np.asarray(features)[h // 2 - 1 : h // 2 + 1, w // 2 - 1 : w // 2 + 1]
    np.testing.assert_allclose(pattern[0], middle.mean((0, 1)), rtol=1e-3, atol=1e-4)
    mask = np.ones((16, 16), bool)
    mask[:, :8] = False
    fixed = motion.fixed_features(mask, moving._static.grid, features.shape)
    fixed = np.asarray(fixed)
    assert fixed.shape == (h, w)
    np.testing.assert_allclose(fixed[:, : w // 2 - 1], 1, atol=1e-5)
    np.testing.assert_allclose(fixed[:, w // 2 + 1 :], 0, atol=1e-5)


def test_a_mask_keeps_the_rest():
    mask = np.zeros((16, 16), bool)
    mask[:, :8] = True
    settings = DragSettings(
        steps=15, feature_resolution=8, learning_rate=0.1, mask_weight=1000
    )
    moving = dragger(settings=settings)
    ws = styles(moving.network)
    changes = []
    for chosen in (None, mask):
        *_, last = moving.drag(ws, [(3, 6)], [(6, 6)], chosen)
        first = moving.network.synthesize(ws[None])[0]
        changes.append(np.abs(last.image - first.astype(int))[:, 8:].mean())
    assert changes[1] < changes[0] / 2


def test_programs_are_shared():
    """Another number of handles, targets, a mask and tuned weights need no new one."""
    moving = dragger()
    g = moving.network
    [*_] = moving.drag(styles(g), [(5, 6)], [(6, 6)])
    compiled = drag._step._cache_size()
    tuned = jax.tree.map(lambda x: x * 1.01, g.variables)
    mask = np.ones((16, 16), bool)
    frames = moving.drag(
        styles(g, 6), [(5, 6), (9, 3)], [(5, 9), (2, 2)], mask, variables=tuned
    )
    assert next(frames).distances == pytest.approx([3, np.hypot(7, 1)])
    next(frames)
    assert drag._step._cache_size() == compiled


@pytest.mark.parametrize(
    ("resolution", "features", "layers"),
    [(1024, 128, 6), (256, 128, 6), (128, 128, 6), (64, 64, 4), (32, 32, 2), (8, 8, 2)],
)
def test_the_published_features_and_layers(resolution, features, layers):
    """The sixth block and the first six styles, where images are large enough."""
    generator = models.stylegan2.Generator(resolution=resolution)
    assert drag_settings.default_features(list(generator.feature_modules())) == features
    assert drag_settings.default_layers(generator, features) == layers


def test_it_stops_on_arrival():
    [frame] = dragger().drag(styles(small.network("stylegan2")), [(5, 6)], [(5, 7)])
    assert frame.arrived and frame.step == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "handles must be 1 to 64 points (x, y) in pixels"),
        ((np.zeros((0, 2)),) * 2, "handles must be 1 to 64 points (x, y) in pixels"),
        (([(16, 3)], [(1, 1)]), "handles must be inside the image of 16x16 (width x"),
        (([(1, 3)], [(1, -1)]), "from (0, 0) to (15, 15); (1.0, -1.0) is not"),
        (([(1, 3)], [(1, float("nan"))]), "targets must be inside the image"),
        (([(1, 3)], [(1, 1), (2, 2)]), "there are 1 handles and 2 targets"),
        (([(1, 3)], ["a"]), "targets must be 1 to 64 points"),
        (([(1, 3)], [(1, 1)], np.ones((8, 16), bool)), "the mask is [8, 16] bool"),
        (([(1, 3)], [(1, 1)], np.ones((16, 16))), "the mask is [16, 16] float64"),
        (([(1, 3)], [(1, 1)], np.zeros((16, 16), bool)), "mask is False everywhere"),
    ],
)
def test_wrong_points_and_masks(arguments, message):
    moving = dragger()
    with pytest.raises(ValueError, match=re.escape(message)):
        moving.drag(styles(moving.network), *arguments)


def test_wrong_settings():
    with pytest.raises(ValueError, match=re.escape("ws have shape [3, 8]")):
        dragger().drag(np.zeros((3, 8)), [(1, 1)], [(2, 2)])
    with pytest.raises(ValueError, match=re.escape("must be one of [4, 8, 16]")):
        dragger(settings=DragSettings(feature_resolution=32))
    with pytest.raises(ValueError, match=re.escape("layers (=7) must be at most 6")):
        dragger(settings=DragSettings(layers=7))
    for wrong in (
        *({"steps": 0}, {"motion_radius": 0}, {"mask_weight": -1.0}),
        {"noise": "random"},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} "):
            DragSettings(**wrong)


@pytest.mark.slow
def test_handles_of_a_trained_network_arrive():
    """A handle at the strongest corner moves 8 of 64 pixels, as it is tracked.

    docs/project.md says how often its surroundings move along.
    """
    g = stylegan_jax.load("smileys64")
    moving = Dragger(g, DragSettings())
    ws = np.asarray(g.map(g.z(range(2000, 2020)), truncation_psi=0.7))
    rng, distances = np.random.default_rng(0), []
    for w in ws:
        handle = inversion.corner(g.synthesize(w[None])[0])
        angle = rng.integers(8) * np.pi / 4
        goal = handle + np.round(8 * np.array([np.cos(angle), np.sin(angle)]))
        *_, last = moving.drag(w, [handle], [np.clip(goal, 0, 63)])
        distances.append(last.distances[0])
    assert np.median(distances) <= 2
