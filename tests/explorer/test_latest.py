"""Requests of pages: the newest wins, none is lost, and all are answered."""

import asyncio
import threading

import pytest

from stylegan_jax.explorer import latest
from stylegan_jax.explorer.latest import Latest


class Drawing:
    """A drawing function that waits for a permission each time."""

    def __init__(self):
        self.drawn = []
        self.may = threading.Semaphore(0)
        self.started = threading.Event()
        self.busy = threading.Lock()

    def __call__(self, request):
        assert self.busy.acquire(blocking=False), "two are drawn at a time"
        self.started.set()
        assert self.may.acquire(timeout=30)
        self.drawn.append(request)
        self.busy.release()
        if request == "bad":
            raise ValueError("bad")
        return f"picture of {request}"


def run(main):
    return asyncio.run(asyncio.wait_for(main, 60))


async def submit(queue, *requests):
    """Submit (client, number, request) in this order; return the tasks."""
    tasks = [asyncio.create_task(queue.submit(*request)) for request in requests]
    await asyncio.sleep(0)
    return tasks


async def is_drawing(draw):
    await asyncio.to_thread(draw.started.wait, 30)


def test_of_twenty_fast_requests_the_first_and_the_last_are_drawn():
    async def main():
        draw = Drawing()
        queue = Latest(draw)
        tasks = await submit(queue, ("a", 1, 1))
        await is_drawing(draw)
        tasks += await submit(queue, *(("a", n, n) for n in range(2, 21)))
        draw.may.release(20)
        answers = await asyncio.gather(*tasks)
        assert draw.drawn == [1, 20]
        assert answers == ["picture of 1", *[None] * 18, "picture of 20"]

    run(main())


def test_replaced_requests_are_answered_while_another_is_drawn():
    async def main():
        draw = Drawing()
        queue = Latest(draw)
        first, second, third = await submit(queue, *(("a", n, n) for n in (1, 2, 3)))
        assert await first is None and await second is None
        assert not third.done() and draw.drawn == []
        draw.may.release()
        assert await third == "picture of 3"

    run(main())


def test_requests_that_arrive_late_or_twice_are_not_drawn():
    async def main():
        draw = Drawing()
        draw.may.release(10)
        queue = Latest(draw)
        assert await queue.submit("a", 5, 5) == "picture of 5"
        assert await queue.submit("a", 4, 4) is None
        assert await queue.submit("a", 5, 5) is None
        assert await queue.submit("b", 4, 4) == "picture of 4"
        assert draw.drawn == [5, 4]

    run(main())


def test_clients_take_turns():
    """A client that asks often keeps its place, but does not pass the others."""

    async def main():
        draw = Drawing()
        queue = Latest(draw)
        tasks = await submit(queue, ("x", 0, "x0"))
        await is_drawing(draw)
        tasks += await submit(
            queue,
            *[("a", 0, "a0"), ("b", 0, "b0"), ("a", 1, "a1"), ("c", 0, "c0")],
            *[("b", 1, "b1"), ("a", 2, "a2")],
        )
        draw.may.release(10)
        await asyncio.gather(*tasks)
        assert draw.drawn == ["x0", "a2", "b1", "c0"]

    run(main())


def test_an_error_concerns_its_own_request_only():
    async def main():
        draw = Drawing()
        draw.may.release(10)
        queue = Latest(draw)
        bad, good = await submit(queue, ("a", 0, "bad"), ("b", 0, "good"))
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert await good == "picture of good"
        assert await queue.submit("a", 1, "again") == "picture of again"

    run(main())


def test_a_client_that_has_gone_is_not_drawn():
    async def main():
        draw = Drawing()
        queue = Latest(draw)
        tasks = await submit(queue, ("x", 0, "x"))
        await is_drawing(draw)
        [gone], [after] = (
            await submit(queue, ("a", 0, "a")),
            await submit(queue, ("b", 0, "b")),
        )
        gone.cancel()
        draw.may.release(10)
        await asyncio.gather(*tasks, after)
        assert draw.drawn == ["x", "b"]

    run(main())


def test_forgotten_clients_begin_anew(monkeypatch):
    monkeypatch.setattr(latest, "MAX_CLIENTS", 2)

    async def main():
        draw = Drawing()
        draw.may.release(10)
        queue = Latest(draw)
        for client in ("a", "b", "c"):
            await queue.submit(client, 9, client)
        assert await queue.submit("c", 9, "old") is None
        assert await queue.submit("a", 0, "new") == "picture of new"

    run(main())


def test_other_work_waits_for_the_drawing():
    async def main():
        draw = Drawing()
        queue = Latest(draw)
        [task] = await submit(queue, ("a", 0, "a"))
        await is_drawing(draw)
        other = asyncio.create_task(queue.run(lambda: list(draw.drawn)))
        await asyncio.sleep(0.05)
        assert not other.done()
        draw.may.release()
        assert await other == ["a"] and await task == "picture of a"

    run(main())
