"""Metrics of image sets and of a generator, with stand-ins for networks."""

import dataclasses
import json
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from stylegan_jax.data import decoding
from stylegan_jax.data.pipeline import UnusableImage
from stylegan_jax.metrics import (
    evaluation,
    frechet,
    kernel_distance,
    ms_ssim,
    registry,
    results,
)
from stylegan_jax.metrics.context import agreement_facts
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.precision_recall import precision_recall
from stylegan_jax.metrics.results import MetricFailure, MetricValue
from stylegan_jax.metrics.statistics import Networks
from stylegan_jax.runtime import storage
from tests import tiny
from tests.metrics import evaluation_worker, stand_ins
from tests.metrics.stand_ins import all_images, two_sets

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def everything(devices):
    """All metrics of an untrained generator, by the name of the number."""
    spec = evaluation_worker.generator_spec(devices)
    shown = []
    context = stand_ins.context(devices, show_progress=lambda *a: shown.append(a))
    return spec, stand_ins.measure(spec, context), shown


def test_every_metric_returns_its_numbers(everything):
    spec, found, shown = everything
    assert set(found) == (
        set(spec.metrics) - {"pr", "ls"} | {"precision", "recall", "ls_w", "ls_z"}
    )
    assert all(np.isfinite(r.value) for r in found.values())
    assert {r.metric for r in found.values()} == set(spec.metrics)
    total = spec.reals.count
    assert ("real images processed", total, total) in shown
    assert ("generated images processed", 40, 40) in shown
    assert ("steps of ppl_w_end", 40, 40) in shown


def test_numbers_are_those_of_the_formulas(everything):
    spec, found, _ = everything
    detector, efficientnet = stand_ins.Projection(), stand_ins.Projection(seed=2)
    real, _ = all_images(spec.reals, spec.reals.count)
    fake, _ = all_images(spec.generated, 40)
    reals, fakes = (detector(x).pool for x in (real, fake))
    value = {name: r.value for name, r in found.items()}

    def fid(*sets):
        return frechet.frechet_distance(*map(frechet.fit_gaussian, sets)).value

    np.testing.assert_allclose(value["fid50k"], fid(reals[:40], fakes), rtol=1e-9)
    np.testing.assert_allclose(value["fid50k_full"], fid(reals, fakes), rtol=1e-9)
    rng = np.random.RandomState(2020)
    kid = kernel_distance.kernel_distance(fakes, reals[:40], rng, subset_size=40)
    np.testing.assert_allclose(value["kid"], kid.value, rtol=1e-9)
    others, other_fakes = (efficientnet(x).pool for x in (real, fake))
    np.testing.assert_allclose(
        value["fd_efficientnet"], fid(others, other_fakes), rtol=1e-9
    )
    kid = kernel_distance.all_pairs_distance(other_fakes, others[:40])
    result = found["kid_efficientnet"]
    np.testing.assert_allclose((result.value, result.standard_error), kid, rtol=1e-9)
    pr = precision_recall(reals[:40], fakes)
    assert (value["precision"], value["recall"]) == (pr.precision, pr.recall)
    similar = ms_ssim.ms_ssim(fake[::2], fake[1::2])
    np.testing.assert_allclose(value["msssim"], similar.mean(), rtol=1e-9)
    details = found["msssim"].details
    of_reals = ms_ssim.ms_ssim(real[:40:2], real[1:40:2]).mean()
    np.testing.assert_allclose(details["of_reals"], of_reals, rtol=1e-9)
    scaled = fake.astype(np.float64) / 127.5 - 1
    different = np.mean((scaled[::2] - scaled[1::2]) ** 2)
    np.testing.assert_allclose(value["lpips_diversity"], different, rtol=1e-5)


def test_a_result_says_how_to_reproduce_it(everything):
    spec, found, _ = everything
    row = json.loads(json.dumps(storage.to_jsonable(found["fid50k_full"].to_dict())))
    expected = {
        "name": "fid50k_full",
        "metric": "fid50k_full",
        "images_real": spec.reals.count,
        "images_generated": 40,
        "seed": 3,
        "truncation_psi": 0.9,
        "noise": "random",
        "detector": "projection",
        "detector_digest": "0" * 64,
        "resize": "none",
        "dataset": "the built-in emoji",
        "dataset_fingerprint": spec.reals.fingerprint,
        "dataset_mirrored": False,
        "dataset_fit": "exact",
        "decoder": decoding.VERSION,
        "batch_size": 16,
        "generated_fit": None,
        "generated_fingerprint": None,
        "dtype": "float32",
        "label_source": "uniform",
        "size": [16, 16],
        "generated": "untrained",
        "checkpoint": 7000,
        "step": 5,
        "kimg": 7.0,
    }
    assert {k: row[k] for k in expected} == expected
    others = {"value", "standard_error", "details", "versions", "seconds", "time"}
    assert row.keys() == expected.keys() | others
    assert row["versions"]["jax"] == jax.__version__ and row["seconds"] > 0
    assert row["details"]["divisor"] == "N-1"
    assert found["ppl_w_end"].truncation_psi is None
    assert found["ppl_w_end"].noise is None
    assert found["ls_w"].truncation_psi == 0.9
    assert found["ppl_w_end"].detector == "squared error"
    assert found["swd"].detector is None
    assert found["is"].dataset_fit is None and found["is"].decoder is None
    table = results.ResultTable(found)
    lines = [table.header, *map(table.row, found.values())]
    assert lines[0].split() == [
        *("metric", "value", "+-", "reals", "generated", "seconds")
    ]
    assert len(lines) == len(found) + 1 and len(set(map(len, lines))) == 1


def test_facts_tell_evaluations_apart(devices, emoji):
    spec = two_sets(devices, emoji, ["kid"])
    context = stand_ins.context(devices)
    facts = agreement_facts(spec, context)
    assert facts["metrics"] == "kid" and facts["jax"] == jax.__version__
    assert facts["generated_fingerprint"] == emoji.fingerprint
    assert facts["weights of detector"] == context.networks.detector.digest
    generated = stand_ins.no_generator(devices)
    others = [
        dataclasses.replace(spec, **change)
        for change in (
            {"metrics": registry.find(["swd"])},
            {"images": 24},
            {"seed": 1},
            {"reals": None},
            {"reals": dataclasses.replace(spec.reals, mirror=True)},
            {"checkpoint": {"step": 5}},
            {"generated": generated},
            {"generated": dataclasses.replace(generated, truncation_psi=0.7)},
        )
    ]
    weights = Networks(stand_ins.Projection(seed=1), None)
    third = dataclasses.replace(
        context.networks, efficientnet=stand_ins.Projection(seed=3)
    )
    every = [agreement_facts(other, context) for other in others]
    every += [
        agreement_facts(spec, stand_ins.context(devices, **changes))
        for changes in ({"networks": weights}, {"networks": third}, {"batch_size": 8})
    ]
    assert len({json.dumps(x) for x in [facts, *every]}) == len(every) + 1


def test_equal_sets_and_order(devices, emoji):
    names = ["swd", "msssim", "fid50k", "pr"]
    reals = RealImages(emoji, devices, 0, "exact")
    spec = two_sets(devices, emoji, names, generated=reals, images=64)
    same = stand_ins.measure(spec, stand_ins.context(devices))
    assert same["fid50k"].value < 1e-9
    assert same["precision"].value == same["recall"].value == 1
    assert same["swd"].details["levels"].keys() == {"16"}
    other_order = dataclasses.replace(
        spec,
        generated=dataclasses.replace(reals, seed=9),
        metrics=registry.find(["swd"]),
    )
    other = stand_ins.measure(other_order, stand_ins.context(devices))
    assert other["swd"].value > 0


class NotFinite(stand_ins.Projection):
    """A detector whose third batch of features is not finite."""

    def __call__(self, images):
        features = super().__call__(images)
        if self.seen == 48:
            features.pool[5] = np.nan
        return features


def test_a_metric_that_fails_leaves_the_others(devices, emoji):
    def broken(reals, generated):
        raise ValueError("no luck")

    spec = two_sets(devices, emoji, ["kid", "msssim", "fid50k"])
    spec.metrics["kid"] = dataclasses.replace(spec.metrics["kid"], measure=broken)
    context = stand_ins.context(devices, networks=Networks(NotFinite(), None))
    kid, msssim, fid = evaluation.evaluate(spec, context)
    assert kid == MetricFailure("kid", "no luck")
    assert fid.metric == "fid50k"
    assert "features of images 32 to 47 are not finite" in fid.reason
    alone = stand_ins.measure(
        two_sets(devices, emoji, ["msssim"]), stand_ins.context(devices)
    )
    assert msssim.value == alone["msssim"].value
    assert msssim.details == alone["msssim"].details


def test_sets_that_fail_leave_metrics_of_the_generator(devices, emoji, monkeypatch):
    """But an image that one process cannot read ends the evaluation of all."""

    def unreadable(*args):
        raise error

    monkeypatch.setattr(evaluation, "collect_statistics", unreadable)
    generated = stand_ins.no_generator(devices)
    spec = two_sets(devices, emoji, ["kid", "ppl_w_end"], generated=generated)
    spec.metrics["ppl_w_end"] = dataclasses.replace(
        spec.metrics["ppl_w_end"], measure=lambda *_: [MetricValue(2.0)]
    )
    error = ValueError("they are broken")
    sets, path = evaluation.evaluate(spec, stand_ins.context(devices))
    assert sets == MetricFailure("kid", "they are broken")
    assert (path.name, path.value) == ("ppl_w_end", 2.0)
    error = UnusableImage("a.png is damaged")
    with pytest.raises(UnusableImage):
        list(evaluation.evaluate(spec, stand_ins.context(devices)))


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
    return json.loads(out.splitlines()[-1])  # after lines of gloo


@pytest.mark.slow
def test_many_devices_and_processes_find_the_same(devices):
    """Exactly so for the same images.

    A generator's images are the same up to the last bits, which the steps of path
    lengths, of 1e-4, amplify, and which may change a value of 0 to 255 by one.
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
