"""The meter of the time spent waiting for data, with a fake clock."""

import types

import jax.numpy as jnp
import pytest

from stylegan_jax.training import progress


class FakeClock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        time = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(progress, "time", time)

    def batches(self, *seconds):
        for number, wait in enumerate(seconds):
            self.now += wait
            yield number


class FakeArray:
    def __init__(self, ready):
        self.is_ready = lambda: ready


def test_only_an_idle_device_waits_for_data(monkeypatch):
    clock = FakeClock(monkeypatch)
    meter = progress.DataWaitMeter()
    batches = clock.batches(1, 2, 4, 8)
    assert meter.next(batches, None) == 0  # the device has no work yet
    assert meter.share == 1
    assert meter.next(batches, {"a": FakeArray(True), "b": FakeArray(False)}) == 1
    assert meter.next(batches, {"a": FakeArray(True), "b": FakeArray(True)}) == 2
    clock.now += 3
    assert meter.share == pytest.approx((1 + 4) / 10)
    meter.reset()
    assert meter.share == 0
    meter.next(batches, {"a": FakeArray(True)})
    assert meter.share == 1


def test_excluded_time_is_not_part_of_the_interval(monkeypatch):
    clock = FakeClock(monkeypatch)
    meter = progress.DataWaitMeter()
    clock.now += 96  # of compilation
    meter.exclude(96)
    meter.next(clock.batches(1), None)
    clock.now += 3
    assert meter.share == pytest.approx(1 / 4)


def test_compilation_is_shown_apart_from_the_time_of_a_tick():
    place = progress.Progress(8, tick=1, images_seen=16, training_seconds=12.0)
    stage = types.SimpleNamespace(name="8x8")

    def line(compile_seconds):
        means = {"g_main/loss": 1.0}
        return progress.tick_line(
            place, stage, means, 4.0, 0.0, 0, None, compile_seconds
        )

    assert line(95.2).endswith("g_main/loss 1.000  compilation 1m 35s")
    assert "time 12s " in line(95.2) and "    4.0 img/s" in line(95.2)
    assert line(0.9) == line(0.0) == line(95.2).partition("  compilation")[0]


def test_the_probability_of_augmentations_is_shown():
    place = progress.Progress(8, tick=1, images_seen=16, training_seconds=12.0)
    stage = types.SimpleNamespace(name="8x8")

    def line(probability):
        means = {"d_main/loss": 1.0}
        return progress.tick_line(
            place, stage, means, 4.0, 0.0, 0, None, augment_probability=probability
        )

    assert line(0.0625).endswith("d_main/loss 1.000  augment 0.062")
    assert "augment" not in line(None)


def test_jax_arrays_report_their_readiness(monkeypatch):
    clock = FakeClock(monkeypatch)
    meter = progress.DataWaitMeter()
    done = jnp.ones(3).block_until_ready()
    meter.next(clock.batches(5), {"loss": done})
    clock.now += 5
    assert meter.share == 0.5
