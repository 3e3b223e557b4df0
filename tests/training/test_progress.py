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


def test_jax_arrays_report_their_readiness(monkeypatch):
    clock = FakeClock(monkeypatch)
    meter = progress.DataWaitMeter()
    done = jnp.ones(3).block_until_ready()
    meter.next(clock.batches(5), {"loss": done})
    clock.now += 5
    assert meter.share == 0.5
