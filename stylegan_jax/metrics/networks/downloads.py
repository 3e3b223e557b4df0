"""Verified downloads: a file arrives complete, or not at all."""

import hashlib
import http.client
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

CHUNK = 2**20  # bytes
TIMEOUT_SECONDS = 30  # maximum time without receiving a byte
BAR_WIDTH = 30  # characters
BAR_SECONDS = 0.2  # time between two updates of the bar
LINE_SECONDS = 10  # time between two lines without a terminal

Progress = Callable[[int, int | None], None]  # bytes so far, and in total if known


class DownloadError(OSError):
    """The file could not be downloaded."""


def download(url: str, path: Path, sha256_prefix: str, progress: Progress) -> None:
    """Download to a temporary file, verify it, and rename it.

    Args:
      url: Address, http or https.
      path: Path of the new file; its folder is created if necessary.
      sha256_prefix: First digits of its SHA-256, hexadecimal.
      progress: Called after every chunk.

    Raises:
      DownloadError: The connection failed, or the server sent a different file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            digest = _download(url, temporary, progress)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise DownloadError(f"the download of {url} failed: {reason}") from error
        if not digest.startswith(sha256_prefix):
            raise DownloadError(
                f"{url} sent a file whose SHA-256 begins with "
                f"{digest[: len(sha256_prefix)]}, expected {sha256_prefix}; it is not "
                "the published file, or it was modified in transit"
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _download(url: str, path: Path, progress: Progress) -> str:
    """Write the content of an address to a file; return its SHA-256."""
    digest, done = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "stylegan_jax"})
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response,
        path.open("wb") as file,
    ):
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done != total:
        raise http.client.IncompleteRead(b"", total - done)
    return digest.hexdigest()


class Bar:
    """Progress on stderr: a bar in a terminal, else a line at an interval."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Show the progress; see `Progress`."""
        now, finished = time.monotonic(), done == total
        live = sys.stderr.isatty()
        if not finished and now - self._last < (BAR_SECONDS if live else LINE_SECONDS):
            return
        self._last = now
        text = f"downloading {self._name}: {done / 1e6:.1f} MB"
        if total:
            text += f" of {total / 1e6:.1f} MB, {100 * done // total}%"
            if live:
                filled = BAR_WIDTH * done // total
                text += f" [{'#' * filled:<{BAR_WIDTH}}]"
        start, end = ("\r", "\n" if finished else "") if live else ("", "\n")
        print(start + text, end=end, file=sys.stderr, flush=True)
