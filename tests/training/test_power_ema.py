"""Averages of any length, reconstructed after the training."""

import contextlib
import json
import types

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime import parallel
from stylegan_jax.training import average_snapshots, power_ema
from stylegan_jax.training.average_snapshots import SnapshotWriter
from stylegan_jax.weights import safetensors

BATCH, STEPS = 10, 600


def averaged(values, std):
    """Return the average after every step, as training computes it."""
    gamma, average, out = power_ema.exponent(std), 0.0, []
    for i, value in enumerate(values):
        kept = 1 - BATCH / ((i + 1) * BATCH)
        average = value + (average - value) * kept ** (gamma + 1)
        out.append(average)
    return np.array(out)


VALUES = np.cumsum(np.random.RandomState(0).normal(size=STEPS)) / 10


def test_exponents_of_the_paper():
    """EDM2's two averages have the standard deviations 0.05 and 0.1."""
    np.testing.assert_allclose(power_ema.exponent(0.05), 16.97, atol=0.005)
    np.testing.assert_allclose(power_ema.exponent(0.1), 6.94, atol=0.005)
    for std in (0.01, 0.07, 0.25):
        gamma = power_ema.exponent(std)
        # The weights t^gamma on [0, 1] have this standard deviation.
        t = np.linspace(0, 1, 200_001)
        weights = t**gamma / np.sum(t**gamma)
        mean = np.sum(weights * t)
        deviation = np.sqrt(np.sum(weights * np.square(t - mean)))
        np.testing.assert_allclose(deviation, std, 1e-3)


def test_decay_forgets_the_start():
    assert power_ema.decay(3.0, BATCH, BATCH) == 0
    np.testing.assert_allclose(power_ema.decay(3.0, 100, 10), 0.9**4, 1e-6)


@pytest.mark.parametrize(("std", "steps"), [(0.07, 600), (0.05, 600), (0.2, 350)])
def test_reconstruction(std, steps):
    kept = {s: averaged(VALUES, s) for s in (0.05, 0.1)}
    at = np.arange(24, steps, 25)
    times = np.tile((at + 1.0) * BATCH, 2)
    stds = np.repeat([0.05, 0.1], len(at))
    weights = power_ema.coefficients(times, stds, steps * BATCH, std)
    found = weights @ np.concatenate([kept[0.05][at], kept[0.1][at]])
    wanted = averaged(VALUES, std)[steps - 1]
    np.testing.assert_allclose(found, wanted, atol=0.005)
    np.testing.assert_allclose(weights.sum(), 1, atol=0.01)


class Logger:
    """Collects the paths of files that cannot be written."""

    def __init__(self):
        self.failed = []

    @contextlib.contextmanager
    def warn_on_os_error(self, path):
        try:
            yield
        except OSError:
            self.failed.append(path)


def writer(directory, logger=None):
    training = types.SimpleNamespace(power_ema_snapshot_kimg=1.0)
    setup = types.SimpleNamespace(
        parallel=parallel.local(),
        experiment=types.SimpleNamespace(training=training),
    )
    return SnapshotWriter(setup, epath.Path(directory), logger or Logger(), 0)


def at(images):
    """Return the state and the progress of a run whose only parameter takes VALUES."""
    averages = {
        f"{std:g}": {"mapping": {"bias": jnp.full(3, value)}}
        for std in (0.05, 0.1)
        for value in [averaged(VALUES, std)[images // BATCH - 1]]
    }
    state = types.SimpleNamespace(power_ema=averages, w_avg=jnp.full(2, images))
    resolution = 8 if images < 4500 else 16
    progress = types.SimpleNamespace(
        images_seen=images, resolution=resolution, fade=0.5
    )
    return state, progress


def snapshots(directory, end):
    writing = writer(directory)
    for images in range(500, end + 1, 500):
        writing.write_if_due(*at(images))
    return average_snapshots.find(epath.Path(directory))


def test_snapshots_are_written_at_their_interval_and_at_the_end(tmp_path):
    found = snapshots(tmp_path, 2500)
    assert [s.images_seen for s in found] == [1000, 2000]
    arrays, metadata = safetensors.read(found[0].path)
    assert set(arrays) == {"w_avg", "0.05/mapping/bias", "0.1/mapping/bias"}
    assert arrays["0.1/mapping/bias"].dtype == np.float16
    description = json.loads(metadata[average_snapshots.KEY])
    assert description == {"resolution": 8, "fade": 0.5}
    writing = writer(tmp_path)
    for _ in range(2):
        writing.write(*at(2500))
    assert [s.images_seen for s in average_snapshots.find(tmp_path)][-1] == 2500


def test_a_snapshot_that_cannot_be_written_does_not_end_the_run(tmp_path):
    (tmp_path / "power_ema").write_text("a file in place of the folder")
    logger = Logger()
    writer(tmp_path, logger).write_if_due(*at(1000))
    assert [path.name for path in logger.failed] == ["000000001000.safetensors"]


def test_averages_are_reconstructed_from_files(tmp_path):
    found = snapshots(tmp_path, 6000)
    for time, resolution in ((4000, 8), (6000, 16)):
        both = average_snapshots.reconstruct(found, (0.1, 0.05), time)
        for std, average in zip((0.1, 0.05), both, strict=True):
            wanted = averaged(VALUES, std)[time // BATCH - 1]
            np.testing.assert_allclose(
                average.params["mapping"]["bias"], wanted, rtol=2e-3
            )
            np.testing.assert_array_equal(average.w_avg, time)
            assert average.lod == LevelOfDetail(resolution, 0.5)
    with pytest.raises(ValueError, match=r"kimg \(=1.5\) must be the time of a snap"):
        average_snapshots.reconstruct(found, [0.1], 1500)
    with pytest.raises(ValueError, match=r"stds \(=\[0.3\]\) must be above 0"):
        average_snapshots.reconstruct(found, [0.3], 6000)


def test_a_run_without_snapshots_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no snapshots of .*training.power_ema="):
        average_snapshots.find(epath.Path(tmp_path))
