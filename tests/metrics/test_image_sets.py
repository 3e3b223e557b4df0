"""Image sets: a generator's follow from its seeds, reals may be mirrored."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.metrics.generated_images import class_weights
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.path_length import Path, step_images
from stylegan_jax.models import LevelOfDetail, stylegan1, stylegan2
from stylegan_jax.runtime import image_io
from tests.metrics import stand_ins
from tests.metrics.stand_ins import all_images

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_a_generators_images_are_those_of_its_seeds(devices):
    generated = dataclasses.replace(
        stand_ins.generator(devices, seed=5), truncation_psi=0.7, noise="const"
    )
    network, variables = generated.generator, generated.variables
    images, labels = all_images(generated, 20)
    assert images.shape == (20, 16, 16, 3) and labels.shape == (20, 0)
    z = np.random.RandomState(5).randn(20, network.z_dim).astype(np.float32)
    apply = jax.jit(network.apply, static_argnames="truncation_psi")
    direct = apply(variables, z, truncation_psi=0.7)
    expected = image_io.to_uint8(np.asarray(direct)).astype(int)
    assert np.max(np.abs(expected - images)) <= 1
    # Images of an earlier stage are enlarged.
    early = dataclasses.replace(generated, lod=LevelOfDetail(8, 0.5))
    images, _ = all_images(early, 4)
    assert images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(images[:, ::2, ::2], images[:, 1::2, 1::2])
    z = np.split(z[:8], 2)
    path, times = Path("w", True, False), np.zeros(4, np.float32)
    ends = step_images(network, variables, *z, None, times, path, lod=early.lod)
    for end in ends:
        assert end.shape == (4, 16, 16, 3)
        np.testing.assert_array_equal(end[:, ::2, ::2], end[:, 1::2, 1::2])


def test_classes_come_as_often_as_in_the_data(devices, emoji):
    weights = class_weights(emoji)
    _, labels = all_images(RealImages(emoji, devices, 0, "exact"), emoji.num_images)
    np.testing.assert_allclose(weights, labels.mean(axis=0))
    generated = stand_ins.generator(devices, emoji.label_size)
    one = np.eye(emoji.label_size)[2]
    only = dataclasses.replace(generated, class_weights=one)
    _, labels = all_images(only, 8)
    np.testing.assert_array_equal(labels, np.tile(one, (8, 1)))


def test_half_of_the_reals_are_mirrored_on_request(devices, emoji):
    plain = RealImages(emoji, devices, 7, "exact")
    mirrored = dataclasses.replace(plain, mirror=True)
    images, labels = all_images(plain, 96)
    flipped, same_labels = all_images(mirrored, 96)
    np.testing.assert_array_equal(labels, same_labels)
    turned = [
        np.array_equal(b, a[:, ::-1]) and not np.array_equal(a, b)
        for a, b in zip(images, flipped, strict=True)
    ]
    kept = [np.array_equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert all(np.logical_xor(turned, kept))
    assert 30 < sum(turned) < 66
    # The choice does not depend on the batch size.
    others = [x for (x, _), _ in zip(mirrored.batches(24), range(4), strict=False)]
    others = image_io.rgb_on_white(np.concatenate(others))
    np.testing.assert_array_equal(others, flipped)
    other_seed = dataclasses.replace(mirrored, seed=8)
    assert not np.array_equal(all_images(other_seed, 96)[0], flipped)


@pytest.mark.parametrize("family", [stylegan1, stylegan2])
def test_networks_are_measured_in_float32(devices, family):
    low = family.Generator(resolution=16, dtype=jnp.dtype("bfloat16"))
    if family is stylegan2:
        low = low.clone(low_precision_resolutions=2)
    generated = stand_ins.no_generator(devices, low)
    assert generated.conditions()["dtype"] == "float32"
    assert generated.generator == low.clone(dtype=jnp.dtype("float32"))
    # The same program serves another evaluation.
    again = stand_ins.no_generator(devices, low)
    assert hash(again.generator) == hash(generated.generator)


def test_origin_of_classes(devices):
    def source(classes, weights):
        generated = stand_ins.no_generator(devices, label_size=classes)
        generated = dataclasses.replace(generated, class_weights=weights)
        return generated.conditions()["label_source"]

    assert source(0, None) is None
    assert source(2, None) == "uniform"
    assert source(2, np.array([0.2, 0.8])) == "data"
