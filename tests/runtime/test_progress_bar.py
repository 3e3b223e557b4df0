"""The progress of a long command on a terminal."""

import io
import types

import pytest

from stylegan_jax.runtime import progress_bar
from tests.runtime.test_logger import Terminal


@pytest.fixture
def clock(monkeypatch):
    """Seconds, in a list; standard error is a terminal."""
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress_bar, "sys", types.SimpleNamespace(stderr=Terminal()))
    monkeypatch.setenv("COLUMNS", "80")
    return now


def test_rate_and_remaining_time_follow_the_work_done(clock):
    bar = progress_bar.ProgressBar()
    bar("checked", 0, 500)
    for done in (1024, 2048):  # the first of it may have been done by an earlier run
        clock[0] += 8.0
        bar(f"prepared, {done // 1024} skipped", done, 4096)
    shown = progress_bar.sys.stderr.getvalue()
    assert shown.split("\r")[1:] == [
        "0 of 500 checked, 0 images/s\x1b[K",
        "1024 of 4096 prepared, 1 skipped, 0 images/s\x1b[K",
        "2048 of 4096 prepared, 2 skipped, 128 images/s, 16 s left\x1b[K",
    ]
    bar.clear()
    assert progress_bar.sys.stderr.getvalue() == shown + "\r\x1b[K"


def test_updates_are_limited_to_a_few_per_second(clock):
    bar = progress_bar.ProgressBar()
    for done in range(100):
        bar("prepared", done, 100)
        clock[0] += 0.01
    assert 4 <= progress_bar.sys.stderr.getvalue().count("\r") <= 6


def test_nothing_is_shown_without_a_terminal(monkeypatch):
    monkeypatch.setattr(
        progress_bar, "sys", types.SimpleNamespace(stderr=io.StringIO())
    )
    bar = progress_bar.ProgressBar()
    bar("prepared", 1, 2)
    bar.clear()
    assert progress_bar.sys.stderr.getvalue() == ""
