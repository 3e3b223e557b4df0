"""A headless Chromium, controlled over the DevTools protocol on two pipes.

https://chromedevtools.github.io/devtools-protocol: messages are JSON, each ended by a
zero byte; commands have an id, which their answers repeat, events have none.
"""

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

VARIABLE = "CHROMIUM"  # of the environment: path or name of the browser
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    f"no headless browser: none of {', '.join(NAMES)} is on the PATH; install one "
    f"(apt-get install chromium), or name one by the environment variable {VARIABLE}"
)
TIMEOUT_SECONDS = 60
# The protocol's pipes must be file descriptors 3 and 4.
_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """Return the browser; None if there is none.

    Raises:
      FileNotFoundError: if the environment names one that does not exist.
    """
    if VARIABLE in os.environ:
        named = shutil.which(os.environ[VARIABLE])
        if named is None:
            raise FileNotFoundError(f"{VARIABLE}={os.environ[VARIABLE]} is no program")
        return named
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A page of a running browser, and the errors on it.

    Attributes:
      errors: exceptions, logged errors and warnings, and failures to load.
      requested: requested addresses, except for the page itself and data.
    """

    def __init__(self, reader: int, writer: int):
        self._reader, self._writer = reader, writer
        self._received, self._last_id = b"", 0
        self._session: str | None = None
        self._loaded = False
        self.errors: list[str] = []
        self.requested: list[str] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def open(self, page: Path | str) -> None:
        """Open a file or an address; wait until it is loaded; forget earlier errors."""
        self.errors, self.requested, self._loaded = [], [], False
        self._address = page if isinstance(page, str) else page.absolute().as_uri()
        failure = self.command("Page.navigate", url=self._address).get("errorText")
        assert failure is None, failure
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self._loaded:
            self._take(self._next(deadline))

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression as JSON; await promises.

        Afterwards `errors` has what the page has logged so far.
        """
        found = self.command(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(_describe(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, in the focused element."""
        for kind in ("rawKeyDown", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
            )

    def picture(self) -> Image.Image:
        """Return a screenshot of the whole page, RGB, with a pixel per CSS pixel."""
        found = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        content = io.BytesIO(base64.b64decode(found["data"]))
        return Image.open(content).convert("RGB")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._writer, content) :]
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._take(answer)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._reader], [], [], max(left, 0))
            assert ready, f"the browser said nothing for {TIMEOUT_SECONDS} s"
            content = os.read(self._reader, 1 << 20)
            assert content, "the browser has ended"
            self._received += content
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _take(self, event: dict[str, Any]) -> None:
        of = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(_describe(of["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if of["type"] in ("error", "warning"):
                values = [x.get("value", x.get("description")) for x in of["args"]]
                self.errors.append(f"{of['type']}: {values}")
            case "Log.entryAdded" if of["entry"]["level"] in ("error", "warning"):
                entry = of["entry"]
                self.errors.append(f"{entry['text']} ({entry.get('url')})")
            case "Network.requestWillBeSent":
                address = of["request"]["url"]
                if address != self._address and not address.startswith("data:"):
                    self.requested.append(address)


def _describe(details: dict[str, Any]) -> str:
    return details.get("exception", {}).get("description") or details["text"]


@contextlib.contextmanager
def started(program: str, profile: Path) -> Iterator[Browser]:
    """Start a browser without network; `profile` is an empty directory for it."""
    commands, results = os.pipe(), os.pipe()
    # Out of the way of descriptors 3 and 4.
    passed = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands[0], results[1])]
    os.close(commands[0]), os.close(results[1])
    flags = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--window-size=1400,1000", "--no-first-run"),
        # Nothing on the network can be found, except servers of the tests.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    )
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *map(str, passed), program, *flags],
            pass_fds=passed,
            stdout=log,
            stderr=log,
        )
    for fd in passed:
        os.close(fd)
    try:
        yield Browser(results[0], commands[1])
    finally:
        os.close(commands[1]), os.close(results[0])  # it ends by itself then
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
