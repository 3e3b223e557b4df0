"""The cache of reals: used again, only for the same reals, replaced if damaged."""

import dataclasses
import json

import numpy as np

from stylegan_jax.data import decoding
from stylegan_jax.metrics import real_cache
from stylegan_jax.metrics.frechet import EFFICIENTNET_MOMENTS, MOMENTS
from stylegan_jax.metrics.ms_ssim import SIMILARITY
from stylegan_jax.metrics.real_cache import RealCache
from stylegan_jax.metrics.statistics import EFFICIENTNET_POOL, POOL, Networks
from tests.metrics import stand_ins
from tests.metrics.stand_ins import two_sets


def test_reals_are_seen_once_and_cached(devices, emoji, tmp_path):
    warnings = []
    cache = RealCache(tmp_path / "cache", warnings.append)
    names = ["fid50k", "fid50k_full", "kid", "msssim", "fid_per_class"]
    spec = two_sets(devices, emoji, names, images=160)

    def measure(seed=0):
        detector = stand_ins.Projection(seed=seed)
        context = stand_ins.context(devices, cache=cache, networks=Networks(detector))
        found = stand_ins.measure(spec, context)
        return detector.seen, {name: result.value for name, result in found.items()}

    padded = -(-emoji.num_images // 16) * 16
    seen, values = measure()
    assert seen == padded + 160  # one pass over each set for all metrics
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 6 and not any(f.name.startswith(".") for f in files)
    seen, again = measure()
    assert seen == 160 and again == values
    # Other weights have other statistics; for other reals see the test of the key.
    seen, other = measure(seed=1)
    assert seen == padded + 160 and other["kid"] != values["kid"]
    assert not warnings
    # Damage is noticed, reported and repaired.
    for file in files[:2]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    files[2].write_bytes(b"")
    _, repaired = measure()
    assert repaired == values and len(warnings) == 3
    assert all("is damaged" in text and "be replaced" in text for text in warnings)
    seen, _ = measure()
    assert seen == 160 and len(warnings) == 3


def test_statistics_of_earlier_versions_are_told_of(tmp_path, monkeypatch):
    warnings = []
    cache = RealCache(tmp_path, warnings.append)
    description = {"quantity": "moments", "fingerprint": "00"}
    with monkeypatch.context() as earlier:
        earlier.setattr(real_cache, "VERSION", 1)
        cache.store(description, {"mean": np.zeros(3)})
    assert cache.load(description) is None
    assert len(warnings) == 1 and "version 2 is computed now" in warnings[0]
    cache.store(description, {"mean": np.ones(3)})
    assert cache.load(description)["mean"].sum() == 3 and len(warnings) == 1
    # Whoever changes the decoder's version changes that of the cache.
    assert (decoding.VERSION, real_cache.VERSION) == (2, 2)


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(devices, emoji, tmp_path):
    (tmp_path / "file").write_text("")
    warnings = []
    cache = RealCache(tmp_path / "file" / "cache", warnings.append)
    context = stand_ins.context(devices, cache=cache)
    spec = two_sets(devices, emoji, ["fid50k"], images=16)
    assert np.isfinite(stand_ins.measure(spec, context)["fid50k"].value)
    assert len(warnings) == 1 and "could not be written" in warnings[0]


def test_the_key_has_everything_that_statistics_depend_on(devices, emoji):
    all_reals = two_sets(devices, emoji, ["kid"]).reals
    network = stand_ins.Projection()

    def reals(**changes):
        return dataclasses.replace(all_reals, **changes), network

    def source(**changes):
        return reals(source=dataclasses.replace(emoji, **changes))

    def detector(**changes):
        other = stand_ins.Projection()
        for name, value in changes.items():
            setattr(other, name, value)
        return all_reals, other

    variants = [
        (all_reals, network),
        reals(seed=1),
        reals(mirror=True),
        reals(fit="crop"),
        source(fingerprint="0"),
        source(base_size=(5, 4)),
        source(resolution=8),
        source(channels=4),
        source(num_images=emoji.num_images - 1),
        detector(digest="1"),
        detector(name="other"),
        detector(resize="other"),
    ]

    def keys(statistic, count):
        return [
            json.dumps(
                real_cache.describe(
                    statistic, count, reals, Networks(network, None, network)
                )
            )
            for reals, network in variants
        ]

    for statistic in (MOMENTS, POOL, EFFICIENTNET_MOMENTS, EFFICIENTNET_POOL):
        assert len(set(keys(statistic, 48))) == len(variants)
    # A statistic that does not look through the detector does not depend on it.
    assert len(set(keys(SIMILARITY, 48))) == len(variants) - 3
    # The order of all images does not matter to their moments.
    for statistic in (MOMENTS, EFFICIENTNET_MOMENTS):
        every = keys(statistic, emoji.num_images)
        assert every[0] == every[1] != every[2]
    # The keys on users' disks.
    assert json.loads(keys(POOL, 48)[0]) == {
        "quantity": "pool",
        "count": 48,
        "seed": 0,
        "of": emoji.num_images,
        "fingerprint": emoji.fingerprint,
        "size": [16, 16],
        "channels": emoji.channels,
        "fit": "exact",
        "detector": ["projection", "0" * 64],
        "resize": "none",
    }
