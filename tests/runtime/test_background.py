"""Jobs run in order in a thread, few of them wait, and no error is lost."""

import threading

import pytest

from stylegan_jax.runtime import background
from stylegan_jax.runtime.background import BackgroundWriter


def test_jobs_run_in_order_in_another_thread():
    writer, done = BackgroundWriter("test"), []
    for i in range(10):
        writer.submit(lambda i=i: done.append((i, threading.current_thread().name)))
    writer.wait()
    assert done == [(i, "test") for i in range(10)]
    writer.close()


def test_a_full_queue_makes_the_program_wait():
    writer, go, started = BackgroundWriter("test"), threading.Event(), threading.Event()
    writer.submit(lambda: (started.set(), go.wait()))
    started.wait()
    for _ in range(background.PENDING):
        writer.submit(lambda: None)
    submitted = threading.Event()
    late = threading.Thread(
        target=lambda: (writer.submit(lambda: None), submitted.set())
    )
    late.start()
    assert not submitted.wait(0.2)
    go.set()
    assert submitted.wait(10)
    late.join()
    writer.close()


def test_errors_are_raised_once_and_later_jobs_run():
    writer, done, go = BackgroundWriter("test"), [], threading.Event()
    writer.submit(lambda: go.wait() and 1 / 0)
    writer.submit(lambda: done.append(1))
    go.set()
    with pytest.raises(ZeroDivisionError):
        writer.wait()
    writer.wait()
    assert done == [1]
    writer.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writer.close()
