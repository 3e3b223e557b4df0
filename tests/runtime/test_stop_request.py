"""Signals and the time limit ask a run to stop."""

import signal

import pytest

from stylegan_jax.runtime import stop_request
from stylegan_jax.runtime.stop_request import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request(number):
    before = signal.getsignal(number)
    stop = StopRequest()
    with stop.handling_signals():
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested and stop.reason == "a signal"
    assert signal.getsignal(number) is before


def test_a_second_sigint_interrupts():
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt), stop.handling_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_the_time_limit_is_a_request(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stop_request.time, "monotonic", lambda: now[0])
    limited, unlimited = StopRequest(minutes=2.0), StopRequest()
    now[0] += 119
    assert not limited.requested
    now[0] += 1
    assert limited.requested and limited.reason == "its time limit"
    assert not unlimited.requested


def test_the_first_reason_counts():
    stop = StopRequest()
    stop.mark_requested_elsewhere()
    assert stop.requested and stop.reason == "another process"
    stop.reason = "a signal"
    stop.mark_requested_elsewhere()
    assert stop.reason == "a signal"
