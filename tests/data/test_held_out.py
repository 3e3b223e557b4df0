"""Images that are held out from training."""

import dataclasses

import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.data import cache, held_out, pipeline, sources
from stylegan_jax.runtime import parallel

DATA = config.Data(builtin="smileys", resolution=8, conditional=True, held_out=0.1)


@pytest.fixture(scope="module")
def whole():
    return sources.open_source(dataclasses.replace(DATA, held_out=0.0))


def everything(source):
    batches = pipeline.in_order(source, resolution=8, start=0, stop=source.num_images)
    return tuple(map(np.concatenate, zip(*batches, strict=True)))


def test_every_image_is_in_one_of_the_two_parts(whole):
    training, others = sources.open_split(DATA)
    assert (training.num_images, others.num_images) == (385, 43)
    assert sources.open_source(DATA).fingerprint == training.fingerprint
    described = [s.describe(i) for s in (training, others) for i in range(s.num_images)]
    assert sorted(described) == sorted(map(whole.describe, range(428)))
    assert len({whole.fingerprint, training.fingerprint, others.fingerprint}) == 3
    images, labels = everything(whole)
    place = {whole.describe(i): i for i in range(428)}
    for source in (training, others):
        rows = [place[source.describe(i)] for i in range(source.num_images)]
        found = everything(source)
        np.testing.assert_array_equal(found[0], images[rows])
        np.testing.assert_array_equal(found[1], labels[rows])
        assert source.check(3) == whole.check(rows[3])


def test_batches_and_cache_agree():
    training, _ = sources.open_split(DATA)
    arguments = {"resolution": 8, "batch_size": 16, "start_images": 32}
    cached = cache.ImageCache(training, parallel.local(), "host", 5)
    expected = pipeline.batches(
        training,
        **arguments,
        seed=5,
        process_index=0,
        process_count=1,
        prefetch_batches=1,
    )
    for a, b in zip(next(cached.batches(**arguments)), next(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_class_counts_are_those_of_the_whole_as_a_sample(whole):
    training, _ = sources.open_split(DATA)
    assert training.label_totals == whole.label_totals
    assert training.label_summary().endswith("in a sample of 428")


def test_at_least_one_image_is_held_out_and_one_is_left(whole):
    few = held_out.subset(whole, np.arange(3), "three")
    training, others = held_out.split(few, 0.01)
    assert (training.num_images, others.num_images) == (2, 1)
    assert held_out.split(few, 0.0) == (few, None)
    with pytest.raises(ValueError, match=r"held_out` \(=0.9\) would hold out 3 of the"):
        held_out.split(few, 0.9)
