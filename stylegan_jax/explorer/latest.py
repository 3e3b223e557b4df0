"""A queue that draws only the newest request of each page, one at a time."""

import asyncio
import collections
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")

MAX_CLIENTS = 1000  # maximum number of clients whose newest number is remembered


@dataclasses.dataclass
class _Waiting(Generic[Request, Answer]):
    request: Request
    future: "asyncio.Future[Answer | None]"


class Latest(Generic[Request, Answer]):
    """A queue in which a client's newer request replaces its older one.

    Each client numbers its requests in increasing order. While one request is drawn,
    the newest request of each client waits, and the others return None at once. So the
    last request of a client is always drawn, no client waits for more than one request
    of each other client, and a request that arrives after a newer one is never drawn.

    All methods must be called from one event loop.
    """

    def __init__(self, draw: Callable[[Request], Answer]):
        """Create the queue.

        Args:
          draw: function that draws a request; it is called in one other thread.
        """
        self._draw = draw
        self._thread = ThreadPoolExecutor(1, "draw")
        self._waiting: dict[str, _Waiting[Request, Answer]] = {}  # by client, in order
        self._newest: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._task: asyncio.Task | None = None

    async def submit(self, client: str, number: int, request: Request) -> Answer | None:
        """Draw a request; return None if its client has sent a newer one.

        Args:
          client: name of the client.
          number: number of the request.
          request: argument of `draw`, whose exceptions are raised here.
        """
        if number <= self._newest.get(client, -1):
            return None
        self._newest[client] = number
        self._newest.move_to_end(client)
        if len(self._newest) > MAX_CLIENTS:
            self._newest.popitem(last=False)
        future = asyncio.get_running_loop().create_future()
        older = self._waiting.get(client)
        # An existing key keeps its place in the queue.
        self._waiting[client] = _Waiting(request, future)
        if older is not None and not older.future.done():
            older.future.set_result(None)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def run(self, function: Callable[[], Answer]) -> Answer:
        """Call a function in the thread of `draw`, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _work(self) -> None:
        while self._waiting:
            client = next(iter(self._waiting))
            waiting = self._waiting.pop(client)
            if waiting.future.done():  # the client has gone
                continue
            try:
                answer = await self.run(lambda w=waiting: self._draw(w.request))
            except Exception as error:  # raised where the request was submitted
                if not waiting.future.done():
                    waiting.future.set_exception(error)
                continue
            if not waiting.future.done():
                waiting.future.set_result(answer)
