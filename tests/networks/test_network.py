"""Networks as objects: seeds, labels, styles, images."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling import synthesis
from tests.networks import small

CLASSES = ("a", "b", "c")
FAMILIES = ("stylegan1", "stylegan2")


@pytest.mark.parametrize("family", FAMILIES)
def test_images_of_seeds_are_those_of_the_module(family):
    g = small.network(family)
    images = g(seeds="3,5-6", truncation_psi=0.7)
    chex.assert_shape(images, (3, 16, 16, 3))
    chex.assert_type(images, np.uint8)
    z = np.stack([np.random.RandomState(seed).randn(8) for seed in (3, 5, 6)])
    z = z.astype(np.float32)
    np.testing.assert_array_equal(g.z([3, 5, 6]), z)
    direct = jax.jit(g.module.apply)(g.variables, z, truncation_psi=0.7)
    assert abs(images.astype(int) - to_uint8(direct)).max() <= 1
    floats = g(z, truncation_psi=0.7, dtype="float32")
    np.testing.assert_allclose(floats, direct, 0, 1e-5)
    np.testing.assert_array_equal(to_uint8(floats), images)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("smileys64", "smileys64"),
        ("runs/mine/", "mine"),
        ("/home/alice/runs/mine/checkpoints/5000", "mine"),
        ("gs://bucket/mine/checkpoints/", "mine"),
        ("a/b.safetensors", "b"),
        (r"C:\Users\alice\b.pkl", "b"),
        ("hub:alice/faces", "faces"),
    ],
)
def test_the_name_holds_no_directory(reference, name):
    assert dataclasses.replace(small.network(), reference=reference).name == name


def test_one_seed():
    g = small.network()
    chex.assert_shape(g.z(7), (1, 8))
    np.testing.assert_array_equal(g(seeds=7), g(g.z(range(7, 8))))


def test_labels():
    g = small.network(classes=CLASSES)
    eye = np.eye(3)
    np.testing.assert_array_equal(g.label("b", 2), eye[[1, 1]])
    np.testing.assert_array_equal(g.label(2, 1), eye[[2]])
    np.testing.assert_array_equal(g.label(["c", "a"], 2), eye[[2, 0]])
    np.testing.assert_array_equal(g.label([0.5, 0.5, 0], 2), [[0.5, 0.5, 0]] * 2)
    np.testing.assert_array_equal(g.label(eye[:2], 2), eye[:2])
    images = g(seeds=[1, 1], label=["a", "b"])
    np.testing.assert_array_equal(images[1], g(seeds=1, label="b")[0])
    assert np.any(images[0] != images[1])
    assert small.network().label(None, 2) is None


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, r"class \(=None\) must be one of a, b, c"),
        ("d", r"class \(='d'\) must be one of a, b, c"),
        (3, r"class \(='3'\) must be one of"),
        ([1, 2], r"label \(=\[1, 2\]\) must be a class, 2 of them, or finite vectors"),
        ([np.nan, 0, 0], "finite vectors"),
        ([["a"], ["b", "c"]], "finite vectors"),
    ],
)
def test_labels_that_do_not_fit(label, message):
    with pytest.raises(ValueError, match=message):
        small.network(classes=CLASSES).label(label, 2)


def test_a_label_of_a_network_without_classes():
    for label in ("a", 0, [1.0]):
        with pytest.raises(ValueError, match="without labels|the classes are none"):
            small.network()(seeds=0, label=label)


def test_images_do_not_depend_on_the_batch_size():
    g = small.network()
    ws = np.asarray(g.map(g.z(range(5))))
    whole = g.synthesize(ws, dtype="float32")
    batches = list(g.batches(ws, batch_size=2, dtype="float32"))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    np.testing.assert_allclose(np.concatenate(batches), whole, 0, 1e-5)


def test_truncation_towards_the_nearest_center():
    g = small.network()
    z = g.z(range(4))
    ws = np.asarray(g.map(z))
    centers = np.stack([ws[1, 0], ws[2, 0] + 0.01])
    moved = np.asarray(g.map(z, truncation_psi=0.25, centers=centers))
    for before, after in zip(ws, moved, strict=True):
        distances = np.linalg.norm(centers - before[0], axis=1)
        nearest = centers[np.argmin(distances)]
        np.testing.assert_allclose(after, 0.75 * nearest + 0.25 * before, 0, 1e-6)
    partly = np.asarray(
        g.map(z, truncation_psi=0.25, truncation_cutoff=2, centers=centers)
    )
    np.testing.assert_allclose(partly[:, 2:], ws[:, 2:], 0, 1e-6)
    np.testing.assert_allclose(partly[:, :2], moved[:, :2], 0, 1e-6)


def test_centers_are_means_of_their_clusters():
    g = small.network(classes=CLASSES)
    centers = g.centers(3, "b", samples=200)
    chex.assert_shape(centers, (3, 8))
    w = np.asarray(g.map(g.z(range(200)), "b"))[:, 0]
    nearest = np.argmin(np.linalg.norm(w[:, None] - centers, axis=2), axis=1)
    assert set(nearest) == {0, 1, 2}
    for i, center in enumerate(centers):
        np.testing.assert_allclose(w[nearest == i].mean(0), center, 0, 0.05)
    np.testing.assert_array_equal(centers, g.centers(3, "b", samples=200))
    with pytest.raises(ValueError, match=r"centers \(=7\) must be from 1 to 5"):
        g.centers(7, "a", samples=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_at_chosen_layers(family):
    g = small.network(family)
    ws = np.asarray(g.map(g.z([0])))
    draw = lambda **options: g.synthesize(ws, dtype="float32", **options)  # noqa: E731
    everywhere, nowhere = draw(), draw(noise="none")
    layers = range(g.module.num_ws)
    np.testing.assert_array_equal(draw(noise_layers=layers), everywhere)
    np.testing.assert_allclose(draw(noise_layers=[]), nowhere, 0, 1e-5)
    with_noise = sorted(g.module.noise_strengths())
    assert with_noise == list(layers)[: len(with_noise)]
    singles = [draw(noise_layers=[layer]) for layer in with_noise]
    for i, image in enumerate(singles):
        assert np.abs(image - nowhere).max() > 1e-4, i
        assert np.abs(image - everywhere).max() > 1e-4, i
    with pytest.raises(ValueError, match=r"noise layers \[99\] must be from 0 to"):
        draw(noise_layers=[0, 99])


def test_lower_resolutions_of_a_growing_network():
    g = small.network()
    chex.assert_shape(g(seeds=0, resolution=8), (1, 8, 8, 3))
    np.testing.assert_array_equal(g(seeds=0, resolution=16), g(seeds=0))
    with pytest.raises(ValueError, match=r"resolution \(=32\) must be 4, 8, 16"):
        g(seeds=0, resolution=32)
    with pytest.raises(ValueError, match=r"resolution \(=8\) must be 16"):
        small.network("stylegan2")(seeds=0, resolution=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either z or seeds"),
        ({"seeds": 0, "z": np.zeros((1, 8))}, "either z or seeds"),
        ({"seeds": 0, "dtype": "int8"}, r"dtype \(='int8'\) must be one of uint8, f"),
        ({"seeds": 0, "truncation_psi": np.nan}, "must be a finite float32"),
        ({"seeds": "a"}, r"seeds \(='a'\) must be numbers"),
        ({"z": np.zeros((1, 9))}, r"takes \[B, 8\]"),
        ({"seeds": 0, "noise": "loud"}, r"noise \(='loud'\) must be one of"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        small.network()(**options)


def test_styles_of_another_shape():
    g = small.network()
    for ws in (np.zeros((1, 6, 9)), np.zeros((6, 8)), np.zeros((0, 6, 8))):
        with pytest.raises(ValueError, match=r"this network takes \[N, 6, 8\]"):
            g.synthesize(ws)


def test_a_shape_is_compiled_once():
    g = small.network("stylegan2")
    ws = np.asarray(g.map(g.z(range(7))))
    g.synthesize(ws, batch_size=3)
    before = synthesis._synthesize._cache_size()
    g.synthesize(ws[:6] + 1, batch_size=3)
    g.synthesize(ws[:3], noise_layers=[0])
    assert synthesis._synthesize._cache_size() == before
