"""Decoded images in memory: the batches, their place and their size."""

import subprocess
import sys
import textwrap

import chex
import jax
import numpy as np
import pytest

from stylegan_jax.data import pipeline
from stylegan_jax.data.cache import MAX_AUTO_BYTES, ImageCache, image_bytes, place
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime import parallel
from tests.data.opened import data
from tests.data.raw_data import write_images
from tests.data.test_pipeline import array_source
from tests.tiny import ROOT

COUNT = 11  # images, which do not divide evenly over devices


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
    return array_source(pixels, np.arange(COUNT) % 3, ("a", "b", "c"))


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("resolution", [8, 4])
def test_batches_are_those_of_the_pipeline(source, where, resolution):
    """Over two epochs, and from a position in the middle of one."""
    cache = ImageCache(source, parallel.local(), where, seed=3)
    for start in (0, 29):
        common = {"resolution": resolution, "batch_size": 4, "start_images": start}
        wanted = pipeline.batches(
            source,
            **common,
            seed=3,
            process_index=0,
            process_count=1,
            prefetch_batches=1,
        )
        batches = cache.batches(**common)
        for actual, expected in zip(take(batches, 6), take(wanted, 6), strict=True):
            assert isinstance(actual[0], jax.Array) == (where == "device")
            chex.assert_trees_all_equal(jax.device_get(actual), expected)


def test_every_image_is_decoded_once_for_each_resolution(source, monkeypatch):
    original, read = pipeline.in_order, []

    def counting(source, **kwargs):
        read.append(kwargs)
        return original(source, **kwargs)

    monkeypatch.setattr(pipeline, "in_order", counting)
    cache = ImageCache(source, parallel.local(), "host", seed=0)
    for resolution, start in ((4, 0), (4, 8), (8, 16), (8, 24)):
        take(cache.batches(resolution=resolution, batch_size=8, start_images=start), 3)
    assert [(r["resolution"], r["start"], r["stop"]) for r in read] == [
        (4, 0, COUNT),
        (8, 0, COUNT),
    ]


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    write_images(tmp_path, ["a.png", "b.png", "c.png"], size=(8, 8))
    source = open_source(data("folder", tmp_path, resolution=8))
    content = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[: len(content) // 2])
    cache = ImageCache(source, parallel.local(), "host", seed=0)
    with pytest.raises(pipeline.UnusableImage, match=r"b\.png"):
        cache.batches(resolution=8, batch_size=1, start_images=0)


def test_place():
    small, large = 10**9, MAX_AUTO_BYTES + 1
    assert place("auto", small, "cpu", 1, None) == "host"
    assert place("auto", large, "cpu", 1, None) == "none"
    assert place("auto", small, "gpu", 1, 80e9) == "device"
    assert place("auto", small, "tpu", 8, 16e9) == "device"
    assert place("auto", small, "gpu", 1, 8e9) == "host"  # over a tenth of the device
    assert place("auto", small, "gpu", 1, None) == "host"
    assert place("auto", large, "gpu", 8, 80e9) == "none"
    for choice in ("device", "host", "none"):
        assert place(choice, large, "cpu", 1, None) == choice


def test_size(source):
    assert image_bytes(source, 8) == COUNT * 8 * 8 * 3
    assert image_bytes(source, 4) == COUNT * 4 * 4 * 3


def test_an_unknown_place_is_refused(source):
    with pytest.raises(ValueError, match="'device' or 'host'"):
        ImageCache(source, parallel.local(), "disk", seed=0)


def test_eight_devices_share_the_images():
    """Their number does not divide evenly; padding is never part of a batch."""
    code = """
        import jax, numpy as np
        jax.config.update("jax_num_cpu_devices", 8)
        from stylegan_jax.data import order
        from stylegan_jax.data.cache import ImageCache
        from stylegan_jax.runtime import parallel
        from tests.data.test_pipeline import numbered_source

        cache = ImageCache(numbered_source(11), parallel.data_parallel(), "device", 5)
        batches = cache.batches(resolution=1, batch_size=16, start_images=32)
        for step in range(3):
            images, labels = next(batches)
            assert {s.data.shape for s in images.addressable_shards} == {(2, 1, 1, 1)}
            positions = 32 + 16 * step + np.arange(16)
            rows = order.shuffled(positions, 11, 5)
            assert np.ravel(images).tolist() == rows.tolist()
            assert np.argmax(labels, 1).tolist() == (rows % 3).tolist()
        images, _ = cache._arrays
        assert {s.data.shape for s in images.addressable_shards} == {(2, 1, 1, 1)}
        """
    program = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
