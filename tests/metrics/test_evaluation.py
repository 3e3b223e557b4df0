"""Metrics taken of sets of images and of a generator, with stand-ins for networks."""

import dataclasses
import json
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from stylegan_jax import parallel, reporting
from stylegan_jax.data.sources import plain
from stylegan_jax.metrics import evaluation, frechet, kernel_distance, ms_ssim, table
from stylegan_jax.metrics import result as result_module
from stylegan_jax.metrics.collected import Networks, on_white
from stylegan_jax.metrics.image_sets import GeneratedImages, RealImages, class_weights
from stylegan_jax.metrics.path_length import Path, step_images
from stylegan_jax.metrics.precision_recall import precision_recall
from stylegan_jax.metrics.real_cache import RealCache
from tests import tiny
from tests.metrics import evaluation_worker, stand_ins

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def devices():
    return parallel.data_parallel()


@pytest.fixture(scope="module")
def emoji():
    return plain.open_plain("builtin", (16, 16), "exact")


@pytest.fixture(scope="module")
def everything(devices):
    """All metrics of an untrained generator, by the name of the number."""
    asked = evaluation_worker.asked(devices)
    shown = []
    means = stand_ins.means(devices, show_progress=lambda *a: shown.append(a))
    results = evaluation.evaluate(asked, means)
    return asked, {r.measurement.name: r for r in results}, shown


def all_images(images, count):
    """The first images of a set, [count,H,W,3], and their labels."""
    parts, have = [], 0
    for batch in images.batches(16):
        parts.append(batch)
        have += len(batch[0])
        if have >= count:
            break
    pictures, labels = (np.concatenate(x)[:count] for x in zip(*parts, strict=True))
    return on_white(pictures), labels


def test_every_metric_gives_its_number(everything):
    asked, found, shown = everything
    assert set(found) == (
        set(asked.metrics) - {"pr", "ls"} | {"precision", "recall", "ls_w", "ls_z"}
    )
    assert all(np.isfinite(r.measurement.value) for r in found.values())
    assert {r.conditions.metric for r in found.values()} == set(asked.metrics)
    total = asked.reals.count
    assert ("real images seen", total, total) in shown
    assert ("generated images seen", 40, 40) in shown
    assert ("steps of ppl_w_end", 40, 40) in shown


def test_numbers_are_those_of_the_formulas(everything):
    asked, found, _ = everything
    detector = stand_ins.Projection()
    real, real_labels = all_images(asked.reals, asked.reals.count)
    fake, fake_labels = all_images(asked.generated, 40)
    reals, fakes = (detector(x).pool for x in (real, fake))
    value = {name: r.measurement.value for name, r in found.items()}

    def fid(a, b):
        return frechet.frechet_distance(frechet.fit(a), frechet.fit(b)).value

    np.testing.assert_allclose(value["fid50k"], fid(reals[:40], fakes), rtol=1e-9)
    np.testing.assert_allclose(value["fid50k_full"], fid(reals, fakes), rtol=1e-9)
    rng = np.random.RandomState(2020)
    kid = kernel_distance.kernel_distance(fakes, reals[:40], rng, subset_size=40)
    np.testing.assert_allclose(value["kid"], kid.value, rtol=1e-9)
    pr = precision_recall(reals[:40], fakes)
    assert (value["precision"], value["recall"]) == (pr.precision, pr.recall)
    similar = ms_ssim.ms_ssim(fake[::2], fake[1::2])
    np.testing.assert_allclose(value["msssim"], similar.mean(), rtol=1e-9)
    details = found["msssim"].measurement.details
    of_reals = ms_ssim.ms_ssim(real[:40:2], real[1:40:2]).mean()
    np.testing.assert_allclose(details["of_reals"], of_reals, rtol=1e-9)
    scaled = fake.astype(np.float64) / 127.5 - 1
    different = np.mean((scaled[::2] - scaled[1::2]) ** 2)
    np.testing.assert_allclose(value["lpips_diversity"], different, rtol=1e-5)
    of_class = {}
    real_classes, fake_classes = (x.argmax(1) for x in (real_labels, fake_labels))
    for label in np.unique(fake_classes):
        pair = reals[real_classes == label], fakes[fake_classes == label]
        if min(map(len, pair)) > 1:
            of_class[int(label)] = fid(*pair)
    assert len(of_class) > 3
    per_class = found["fid_per_class"].measurement
    np.testing.assert_allclose(
        per_class.value, np.mean(list(of_class.values())), rtol=1e-9
    )
    assert per_class.details["classes"].keys() == of_class.keys()


def test_a_result_says_how_to_repeat_it(everything):
    asked, found, _ = everything
    row = json.loads(json.dumps(reporting.jsonable(found["fid50k_full"].to_dict())))
    expected = {
        "name": "fid50k_full",
        "metric": "fid50k_full",
        "images_real": asked.reals.count,
        "images_generated": 40,
        "seed": 3,
        "truncation_psi": 0.9,
        "noise": "random",
        "detector": "projection",
        "detector_digest": "0" * 64,
        "resize": "none",
        "dataset": "the built-in emoji",
        "dataset_fingerprint": asked.reals.fingerprint,
        "size": [16, 16],
        "generated": "untrained",
        "checkpoint": 7000,
        "step": 5,
        "kimg": 7.0,
    }
    assert {k: row[k] for k in expected} == expected
    assert row["versions"]["jax"] == jax.__version__ and row["seconds"] > 0
    assert row["details"]["divisor"] == "N-1"
    assert found["ppl_w_end"].conditions.truncation_psi is None
    assert found["ppl_w_end"].conditions.detector == "squared error"
    assert found["swd"].conditions.detector is None
    lines = result_module.table(list(found.values())).splitlines()
    assert lines[0].split() == [
        *("metric", "value", "+-", "reals", "generated", "seconds")
    ]
    assert len(lines) == len(found) + 1 and len(set(map(len, lines))) == 1


def test_a_generators_images_are_those_of_its_seeds(devices):
    subject = stand_ins.subject(devices)
    few = GeneratedImages(subject, devices, 5, None, 0.7, noise="const")
    images, labels = all_images(few, 20)
    assert images.shape == (20, 16, 16, 3) and labels.shape == (20, 0)
    z = np.random.RandomState(5).randn(20, subject.generator.z_dim).astype(np.float32)
    direct = subject.generator.apply(subject.variables, z, truncation_psi=0.7)
    expected = reporting.to_uint8(np.asarray(direct)).astype(int)
    assert np.max(np.abs(expected - images)) <= 1
    # A stage before the last: enlarged.
    early = dataclasses.replace(subject, resolution=8, fade=0.5)
    images, _ = all_images(dataclasses.replace(few, subject=early), 4)
    assert images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(images[:, ::2, ::2], images[:, 1::2, 1::2])
    z = np.split(z[:8], 2)
    path, times = Path("w", True, False), np.zeros(4, np.float32)
    ends = step_images(
        *(early.generator, early.variables, *z, None, times, path),
        resolution=early.resolution,
        fade=early.fade,
    )
    for end in ends:
        assert end.shape == (4, 16, 16, 3)
        np.testing.assert_array_equal(end[:, ::2, ::2], end[:, 1::2, 1::2])


def test_classes_come_as_often_as_in_the_data(devices, emoji):
    weights = class_weights(emoji)
    _, labels = all_images(RealImages(emoji, devices, 0, "exact"), emoji.num_images)
    np.testing.assert_allclose(weights, labels.mean(axis=0))
    subject = stand_ins.subject(devices, emoji.label_size)
    one = np.eye(emoji.label_size)[2]
    only = GeneratedImages(subject, devices, 0, one, 1.0)
    _, labels = all_images(only, 8)
    np.testing.assert_array_equal(labels, np.tile(one, (8, 1)))


def two_sets(devices, emoji, names, **changes):
    """The emoji, in two orders."""
    sets = [RealImages(emoji, devices, seed, "exact") for seed in (0, 1)]
    settings = {
        "metrics": table.find(names),
        "reals": sets[0],
        "generated": sets[1],
        "images": 48,
        "seed": 0,
        "checkpoint": {},
    }
    return evaluation.Asked(**settings | changes)


def test_reals_are_seen_once_and_remembered(devices, emoji, tmp_path):
    warnings = []
    cache = RealCache(tmp_path / "cache", warnings.append)
    names = ["fid50k", "fid50k_full", "kid", "msssim", "fid_per_class"]
    asked = two_sets(devices, emoji, names)

    def take(asked=asked, seed=0):
        detector = stand_ins.Projection(seed=seed)
        networks = Networks(detector, None)
        means = stand_ins.means(devices, cache=cache, networks=networks)
        results = evaluation.evaluate(asked, means)
        values = {r.measurement.name: r.measurement.value for r in results}
        return detector.seen, values

    padded = -(-emoji.num_images // 16) * 16
    seen, values = take()
    assert seen == padded + 48  # each set once, whatever was asked of it
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 6 and not any(f.name.startswith(".") for f in files)
    seen, again = take()
    assert seen == 48 and again == values
    # Other weights, and other reals, are others.
    seen, other = take(seed=1)
    assert seen == padded + 48 and other["kid"] != values["kid"]
    moved = dataclasses.replace(asked.reals, fit="crop")
    seen, _ = take(dataclasses.replace(asked, reals=moved))
    assert seen == padded + 48
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
    assert seen == 48 and len(warnings) == 3


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(devices, emoji, tmp_path):
    (tmp_path / "file").write_text("")
    warnings = []
    cache = RealCache(tmp_path / "file" / "cache", warnings.append)
    means = stand_ins.means(devices, cache=cache)
    [found] = evaluation.evaluate(two_sets(devices, emoji, ["fid50k"]), means)
    assert np.isfinite(found.measurement.value)
    assert len(warnings) == 1 and "could not be written" in warnings[0]


def test_equal_sets_and_order(devices, emoji):
    names = ["swd", "msssim", "fid50k", "pr"]
    reals = RealImages(emoji, devices, 0, "exact")
    asked = two_sets(devices, emoji, names, generated=reals, images=64)
    results = evaluation.evaluate(asked, stand_ins.means(devices))
    same = {r.measurement.name: r.measurement.value for r in results}
    assert same["fid50k"] < 1e-9 and same["precision"] == same["recall"] == 1
    other = evaluation.evaluate(
        dataclasses.replace(asked, generated=dataclasses.replace(reals, seed=9)),
        stand_ins.means(devices),
    )
    assert other[0].measurement.name == "swd"
    assert other[0].measurement.value > 0
    assert results[0].measurement.details["levels"].keys() == {"16"}


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        ({}, ["ppl_w_end_crop"], "ppl_w_end_crop needs images of at least 32 pixels"),
        ({"reals": None}, ["fid50k"], "fid50k needs real images; give --data"),
        ({}, ["ppl_w_end"], "ppl_w_end needs a generator, not only its images"),
        ({"images": 1}, ["kid"], "kid needs at least two images of each kind"),
    ],
)
def test_what_is_missing_is_told(devices, emoji, changes, names, message):
    asked = two_sets(devices, emoji, names, **changes)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(asked, stand_ins.means(devices))


def test_more_that_is_told(devices, emoji):
    subject = stand_ins.subject(devices)
    generated = GeneratedImages(subject, devices, 0, None, 1.0)
    asked = two_sets(
        devices, emoji, ["ls", "fid_per_class"], generated=generated, images=8
    )
    with pytest.raises(ValueError) as caught:
        evaluation.evaluate(asked, stand_ins.means(devices, attributes=None))
    assert "ls needs a classifier; give --attributes" in str(caught.value)
    assert "fid_per_class needs classes, which untrained lacks" in str(caught.value)
    large = plain.open_plain("builtin", (32, 32), "exact")
    reals = RealImages(large, devices, 0, "exact")
    asked = two_sets(devices, emoji, ["swd"], reals=reals)
    with pytest.raises(ValueError, match="emoji is 32x32, .* is 16x16"):
        evaluation.evaluate(asked, stand_ins.means(devices))
    with pytest.raises(ValueError, match="`batch_size` .=15. must be divisible"):
        stand_ins.means(devices, batch_size=15)


def test_unknown_metrics_name_the_closest():
    with pytest.raises(ValueError) as caught:
        table.find(["fid", "kid", "pplwend"])
    text = str(caught.value)
    assert "unknown metric 'fid'; did you mean fid50k or fid50k_full?" in text
    assert "unknown metric 'pplwend'; did you mean ppl_w_end" in text
    assert all(name in text for name in table.METRICS)
    with pytest.raises(ValueError, match="no metric was named"):
        table.find([])


def run_worker(*arguments):
    command = ["-m", "tests.metrics.evaluation_worker", *map(str, arguments)]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=tiny.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def numbers_of(process):
    out, _ = tiny.finish(process)
    return json.loads(out.splitlines()[-1])  # gloo has said something before


@pytest.mark.slow
def test_many_devices_and_processes_find_the_same(devices):
    """Exactly so of the same images.

    A generator's are the same up to the last bits, which the steps of path lengths, of
    1e-4, make large, and which may turn a value of 0 to 255 by one.
    """
    expected = evaluation_worker.numbers(devices)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    eight = numbers_of(run_worker(8))
    pair = [run_worker(2, port, process) for process in (0, 1)]
    both = [numbers_of(process) for process in pair]
    assert both[0] == both[1]
    for other in (eight, both[0]):
        assert other.keys() == expected.keys()
        for name, value in expected.items():
            tolerance = 1e-6 if name.startswith("real/") else 1e-4
            tolerance = 0.02 if name.startswith("ppl_") else tolerance
            np.testing.assert_allclose(other[name], value, rtol=tolerance, err_msg=name)
