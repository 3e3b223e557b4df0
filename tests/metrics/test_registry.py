"""The entries of the registry, their lookup, and the addition of a metric."""

import numpy as np
import pytest

from stylegan_jax.metrics import registry
from stylegan_jax.metrics.metric import SetMetric
from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import Statistic
from tests.metrics import stand_ins


def test_which_metrics_need_real_images():
    def needed(*names):
        return registry.needs_real_images(registry.find(list(names)))

    assert needed("fid50k") and needed("msssim", "is") and needed("swd")
    assert not needed("is", "lpips_diversity", "ppl_w_end", "ls")


def test_numbers_and_their_direction():
    metrics = registry.find(["pr", "ls", "swd"])
    assert registry.numbers(metrics) == ["precision", "recall", "ls_w", "ls_z", "swd"]
    every = registry.numbers(registry.METRICS)
    higher = [number for number in every if registry.higher_is_better(number)]
    equivariance = ["eqt50k_int", "eqt50k_frac", "eqr50k"]
    assert higher == ["is", "precision", "recall", "lpips_diversity", *equivariance]


def test_networks():
    networks = {name: metric.network for name, metric in registry.METRICS.items()}
    assert {n for n in networks if networks[n] == "detector"} == {
        *("fid50k", "fid50k_full", "kid", "is", "pr", "fid_per_class")
    }
    assert {n for n in networks if networks[n] == "efficientnet"} == {
        *("kid_efficientnet", "fd_efficientnet")
    }
    assert {n for n in networks if networks[n] is None} == {
        *("swd", "msssim", "ls", "eqt50k_int", "eqt50k_frac", "eqr50k")
    }


def test_unknown_metrics_name_the_closest():
    with pytest.raises(ValueError) as caught:
        registry.find(["fid", "kid", "pplwend"])
    text = str(caught.value)
    assert "unknown metric 'fid'; did you mean fid50k or fid50k_full?" in text
    assert "unknown metric 'pplwend'; did you mean ppl_w_end" in text
    assert all(name in text for name in registry.METRICS)
    with pytest.raises(ValueError, match="no metric was named"):
        registry.find([])


def test_a_formula_and_an_entry_are_all_that_a_metric_needs(
    devices, emoji, monkeypatch
):
    brightness = Statistic("brightness", lambda batch: batch.images.mean((1, 2, 3)))

    def measure(reals, generated):
        return [MetricValue.mean(generated[brightness], real=reals.count)]

    entry = SetMetric("brightness", "Mean pixel", measure, (brightness,), images=32)
    monkeypatch.setitem(registry.METRICS, "brightness", entry)
    spec = stand_ins.two_sets(devices, emoji, ["brightness"], images=None)
    found = stand_ins.measure(spec, stand_ins.context(devices))["brightness"]
    images, _ = stand_ins.all_images(spec.generated, 32)
    np.testing.assert_allclose(found.value, images.mean())
    assert found.details == {"real": 32}
