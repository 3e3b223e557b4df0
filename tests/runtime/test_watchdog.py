"""Only activities that take too long are reported."""

import queue
import re
import time

import pytest

from stylegan_jax.runtime.watchdog import Watchdog


@pytest.fixture
def reports():
    return queue.Queue()


def test_a_long_activity_is_reported_repeatedly(reports):
    dog = Watchdog(0.05, "process 1 of 2", reports.put)
    dog.watch("the round from step 8 on")
    first, second = reports.get(timeout=60), reports.get(timeout=60)
    dog.close()
    assert first.startswith(
        "WARNING: process 1 of 2 has spent 0 s on the round from step 8 on "
        "(`run.hang_report_seconds`=0.05)"
    )
    assert "run the same command again: the run resumes" in first
    assert second.startswith("WARNING: process 1 of 2 has spent ")


def test_activities_that_end_in_time_are_not_reported(reports):
    dog = Watchdog(0.5, "process 0 of 1", reports.put)
    for step in range(20):  # longer than the limit together, not each
        dog.watch(f"step {step}")
        time.sleep(0.05)
    dog.watch(None)
    time.sleep(0.7)
    dog.watch("the last one")
    dog.close()
    assert reports.empty()


def test_reports_go_to_stderr_by_default(capsys):
    dog = Watchdog(0.01, "process 0 of 1")
    dog.watch("tick 3")
    text, deadline = "", time.monotonic() + 60
    while "tick 3" not in text and time.monotonic() < deadline:
        time.sleep(0.01)
        text += capsys.readouterr().err
    dog.close()
    assert re.search("process 0 of 1 has spent .* s on tick 3", text)
