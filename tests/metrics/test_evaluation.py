"""Metrics taken of sets of images and of a generator, with stand-ins for networks."""

import dataclasses
import json
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from stylegan_jax.data.pipeline import UnusableImage
from stylegan_jax.metrics import (
    collecting,
    evaluation,
    frechet,
    kernel_distance,
    ms_ssim,
    of_generator,
    request,
    table,
)
from stylegan_jax.metrics import result as result_module
from stylegan_jax.metrics.collected import Networks
from stylegan_jax.metrics.generated_images import GeneratedImages, Subject
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.precision_recall import precision_recall
from stylegan_jax.metrics.result import Measurement
from stylegan_jax.models import LevelOfDetail, stylegan1
from stylegan_jax.runtime import storage
from tests import tiny
from tests.metrics import evaluation_worker, stand_ins
from tests.metrics.two_sets import all_images, two_sets

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def everything(devices):
    """All metrics of an untrained generator, by the name of the number."""
    asked = evaluation_worker.asked(devices)
    shown = []
    means = stand_ins.means(devices, show_progress=lambda *a: shown.append(a))
    results = stand_ins.take(asked, means)
    return asked, {r.measurement.name: r for r in results}, shown


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
    real, _ = all_images(asked.reals, asked.reals.count)
    fake, _ = all_images(asked.generated, 40)
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


def test_a_result_says_how_to_repeat_it(everything):
    asked, found, _ = everything
    row = json.loads(json.dumps(storage.to_jsonable(found["fid50k_full"].to_dict())))
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
        "dataset_mirrored": False,
        "dataset_fit": "exact",
        "batch_size": 16,
        "generated_fit": None,
        "dtype": "float32",
        "label_source": "uniform",
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
    assert found["is"].conditions.dataset_fit is None
    table = result_module.Table(found)
    lines = [table.head, *map(table.row, found.values())]
    assert lines[0].split() == [
        *("metric", "value", "+-", "reals", "generated", "seconds")
    ]
    assert len(lines) == len(found) + 1 and len(set(map(len, lines))) == 1


def test_facts_tell_evaluations_apart(devices, emoji):
    asked = two_sets(devices, emoji, ["kid"])
    means = stand_ins.means(devices)
    facts = request.facts(asked, means)
    assert facts["metrics"] == "kid" and facts["jax"] == jax.__version__
    assert facts["fingerprint of generated"] == emoji.fingerprint
    assert facts["weights of detector"] == means.networks.detector.digest
    subject = stand_ins.subject(devices)
    others = [
        dataclasses.replace(asked, **change)
        for change in (
            {"metrics": table.find(["swd"])},
            {"images": 24},
            {"seed": 1},
            {"reals": None},
            {"reals": dataclasses.replace(asked.reals, mirror=True)},
            {"checkpoint": {"step": 5}},
            {"generated": GeneratedImages(subject, devices, 0, None, 1.0)},
            {"generated": GeneratedImages(subject, devices, 0, None, 0.7)},
        )
    ]
    weights = Networks(stand_ins.Projection(seed=1), None)
    every = [request.facts(other, means) for other in others]
    every.append(request.facts(asked, stand_ins.means(devices, networks=weights)))
    every.append(request.facts(asked, stand_ins.means(devices, batch_size=8)))
    assert len({json.dumps(x) for x in [facts, *every]}) == len(every) + 1


def test_equal_sets_and_order(devices, emoji):
    names = ["swd", "msssim", "fid50k", "pr"]
    reals = RealImages(emoji, devices, 0, "exact")
    asked = two_sets(devices, emoji, names, generated=reals, images=64)
    results = stand_ins.take(asked, stand_ins.means(devices))
    same = {r.measurement.name: r.measurement.value for r in results}
    assert same["fid50k"] < 1e-9 and same["precision"] == same["recall"] == 1
    other = stand_ins.take(
        dataclasses.replace(asked, generated=dataclasses.replace(reals, seed=9)),
        stand_ins.means(devices),
    )
    assert other[0].measurement.name == "swd"
    assert other[0].measurement.value > 0
    assert results[0].measurement.details["levels"].keys() == {"16"}


class NotFinite(stand_ins.Projection):
    """Of the third batch."""

    def __call__(self, images):
        features = super().__call__(images)
        if self.seen == 48:
            features.pool[5] = np.nan
        return features


def test_one_that_fails_leaves_the_others(devices, emoji):
    def broken(reals, generated):
        raise ValueError("no luck")

    names = ["kid", "msssim", "fid50k"]
    asked = two_sets(devices, emoji, names)
    asked.metrics["kid"] = dataclasses.replace(asked.metrics["kid"], measure=broken)
    means = stand_ins.means(devices, networks=Networks(NotFinite(), None))
    taken = {t.metric: t for t in evaluation.evaluate(asked, means)}
    assert list(taken) == names
    assert taken["kid"].failure == "no luck" and not taken["kid"].results
    assert "features of images 32 to 47 are not finite" in taken["fid50k"].failure
    [found] = taken["msssim"].results
    [alone] = stand_ins.take(
        two_sets(devices, emoji, ["msssim"]), stand_ins.means(devices)
    )
    assert found.measurement == alone.measurement
    told = result_module.failures_told({"a": "x", "b": "y", "c": "x"})
    assert told == ["a, c: x", "b: y"]


def test_images_that_break_sets_leave_paths(devices, emoji, monkeypatch):
    """But one that a process alone can't read is for all of them to end."""

    def unreadable(*args):
        raise error

    def path(*args):
        return [Measurement("ppl_w_end", 2.0)]

    monkeypatch.setattr(collecting, "collect", unreadable)
    monkeypatch.setattr(of_generator, "take_path_length", path)
    network = stylegan1.Generator(resolution=16)
    generated = GeneratedImages(
        Subject("it", network, {}, LevelOfDetail(16)), devices, 0, None, 1.0
    )
    names = ["kid", "ppl_w_end"]
    asked = two_sets(devices, emoji, names, generated=generated)
    error = ValueError("they are broken")
    sets, paths = evaluation.evaluate(asked, stand_ins.means(devices))
    assert sets.failure == "they are broken"
    assert paths.failure is None and paths.results[0].measurement.value == 2.0
    error = UnusableImage("a.png is damaged")
    with pytest.raises(UnusableImage):
        list(evaluation.evaluate(asked, stand_ins.means(devices)))


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
