"""What counts as waiting for data, by a clock that the test turns."""

import types

import jax.numpy as jnp
import pytest

from stylegan_jax.training import progress


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        time = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(progress, "time", time)

    def batches(self, *seconds):
        for number, wait in enumerate(seconds):
            self.now += wait
            yield number


class Array:
    def __init__(self, ready):
        self.is_ready = lambda: ready


def test_only_an_idle_device_waits(monkeypatch):
    clock = Clock(monkeypatch)
    meter = progress.DataWaitMeter()
    batches = clock.batches(1, 2, 4, 8)
    assert meter.next(batches, None) == 0  # nothing was started yet
    assert meter.share == 1
    assert meter.next(batches, {"a": Array(True), "b": Array(False)}) == 1
    assert meter.next(batches, {"a": Array(True), "b": Array(True)}) == 2
    clock.now += 3
    assert meter.share == pytest.approx((1 + 4) / 10)
    meter.reset()
    assert meter.share == 0
    meter.next(batches, {"a": Array(True)})
    assert meter.share == 1


def test_arrays_of_jax_are_asked_without_waiting(monkeypatch):
    clock = Clock(monkeypatch)
    meter = progress.DataWaitMeter()
    done = jnp.ones(3).block_until_ready()
    meter.next(clock.batches(5), {"loss": done})
    clock.now += 5
    assert meter.share == 0.5
