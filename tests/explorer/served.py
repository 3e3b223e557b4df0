"""A server of the explorer in a thread of this process."""

import contextlib
import threading
import time
from collections.abc import Iterator

from stylegan_jax.explorer import server
from stylegan_jax.explorer.renderer import Renderer


@contextlib.contextmanager
def served(renderer: Renderer) -> Iterator[str]:
    """Serve a network on a free port; yield the address of its page."""
    host = "127.0.0.1"
    with server.listening(host, 0) as opened:
        running = server.server(server.application(renderer, host))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not running.started:
                assert thread.is_alive() and time.monotonic() < deadline
                time.sleep(0.01)
            yield server.address(opened)
        finally:
            running.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
