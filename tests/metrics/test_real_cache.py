"""What is remembered of reals: used again, of the same only, mended if damaged."""

import dataclasses
import json

import numpy as np
import pytest

from stylegan_jax.metrics import collecting
from stylegan_jax.metrics.collected import Networks
from stylegan_jax.metrics.real_cache import RealCache
from tests.metrics import stand_ins
from tests.metrics.two_sets import two_sets

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_reals_are_seen_once_and_remembered(devices, emoji, tmp_path):
    warnings = []
    cache = RealCache(tmp_path / "cache", warnings.append)
    names = ["fid50k", "fid50k_full", "kid", "msssim", "fid_per_class"]
    asked = two_sets(devices, emoji, names, images=160)

    def take(asked=asked, seed=0):
        detector = stand_ins.Projection(seed=seed)
        networks = Networks(detector, None)
        means = stand_ins.means(devices, cache=cache, networks=networks)
        results = stand_ins.take(asked, means)
        values = {r.measurement.name: r.measurement.value for r in results}
        return detector.seen, values

    padded = -(-emoji.num_images // 16) * 16
    seen, values = take()
    assert seen == padded + 160  # each set once, whatever was asked of it
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 6 and not any(f.name.startswith(".") for f in files)
    seen, again = take()
    assert seen == 160 and again == values
    # Other weights, and other reals, are others.
    seen, other = take(seed=1)
    assert seen == padded + 160 and other["kid"] != values["kid"]
    moved = dataclasses.replace(asked.reals, fit="crop")
    seen, _ = take(dataclasses.replace(asked, reals=moved))
    assert seen == padded + 160
    mirrored = dataclasses.replace(asked.reals, mirror=True)
    seen, _ = take(dataclasses.replace(asked, reals=mirrored))
    assert seen == padded + 160
    assert not warnings
    # Damage is noticed, told and mended.
    for file in files[:2]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    files[2].write_bytes(b"")
    _, mended = take()
    assert mended == values and len(warnings) == 3
    assert all("is damaged" in text and "made again" in text for text in warnings)
    seen, _ = take()
    assert seen == 160 and len(warnings) == 3


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(devices, emoji, tmp_path):
    (tmp_path / "file").write_text("")
    warnings = []
    cache = RealCache(tmp_path / "file" / "cache", warnings.append)
    means = stand_ins.means(devices, cache=cache)
    [found] = stand_ins.take(two_sets(devices, emoji, ["fid50k"]), means)
    assert np.isfinite(found.measurement.value)
    assert len(warnings) == 1 and "could not be written" in warnings[0]


def test_all_that_statistics_depend_on_is_in_the_key(devices, emoji):
    asked, means = two_sets(devices, emoji, ["kid"]), stand_ins.means(devices)
    changed = dataclasses.replace

    def reals(**changes):
        return changed(asked, reals=changed(asked.reals, **changes)), means

    def source(**changes):
        return reals(source=changed(emoji, **changes))

    def detector(**changes):
        other = stand_ins.Projection()
        for name, value in changes.items():
            setattr(other, name, value)
        return asked, changed(means, networks=Networks(other, None))

    variants = [
        (asked, means),
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

    def keys(name, count):
        found = [collecting.description(name, count, *v) for v in variants]
        return [json.dumps(key) for key in found]

    for name in ("moments", "pool"):
        assert len(set(keys(name, 48))) == len(variants)
    # What does not look through the detector does not ask for it.
    assert len(set(keys("similarity", 48))) == len(variants) - 3
    # The order of all of them does not matter to their mean, unless some are flipped.
    whole = [
        collecting.description("moments", emoji.num_images, *v)
        for v in (variants[0], variants[1])
    ]
    assert whole[0] == whole[1]
    # Seeds of metrics alone change nothing.
    other = changed(asked, seed=5)
    assert keys("pool", 48)[0] == json.dumps(
        collecting.description("pool", 48, other, means)
    )
