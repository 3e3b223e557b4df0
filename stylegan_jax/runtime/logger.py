"""Logs of a run: console lines, JSONL, TensorBoard scalars and images, PNG grids.

Only the main process logs. `log.jsonl` is append-only and survives kill -9: a row is
flushed when written, and a partly written one never spoils the next. A thread encodes
the images. In a bucket, the log and the images are updated every tick, and
TensorBoard's file appears at the end.
"""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from etils import epath

from stylegan_jax.runtime import storage
from stylegan_jax.runtime.background import BackgroundWriter
from stylegan_jax.runtime.image_io import (
    enlarge,
    image_grid,
    rgb_on_white,
    save_png,
    shrink,
)
from stylegan_jax.runtime.progress_bar import LiveLine
from stylegan_jax.runtime.storage import Mirror, to_jsonable

LOG = "log.jsonl"
TENSORBOARD_PIXELS = 1024  # longest side of the images in TensorBoard
# zlib's default of 6 takes four times as long, for files that are a seventh smaller.
PNG_COMPRESS_LEVEL = 1


class RunLogger:
    """Writer of `log.jsonl`, `tensorboard/` and `images/` in a run's directory."""

    def __init__(
        self,
        workdir: str | os.PathLike,
        enabled: bool,
        stream: TextIO | None = None,
    ):
        """Open the log and TensorBoard; a resumed run appends to both.

        Args:
          workdir: directory of the run, possibly in a bucket; created if missing.
          enabled: true in the main process; otherwise every method does nothing.
          stream: receives the console lines; None for `sys.stdout`.
        """
        self._enabled = enabled
        self._stream = sys.stdout if stream is None else stream
        self._live_line = LiveLine(self._stream)
        if not enabled:
            return
        import tensorboardX  # only needed for training

        self._mirror = None
        if storage.scheme_of(workdir) is not None:
            self._mirror = Mirror(epath.Path(workdir), (LOG,))
            workdir = self._mirror.local
        self._workdir = Path(workdir)
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._log = _open_log(self._workdir / LOG)
        self._writer = BackgroundWriter("images")
        self._tensorboard = tensorboardX.SummaryWriter(
            str(self._workdir / "tensorboard"), flush_secs=20
        )

    def progress(self, text: str) -> None:
        """Rewrite the live line, a few times per second; only on a terminal."""
        if self._enabled:
            self._live_line.update(text)

    def line(self, text: str) -> None:
        """Print a permanent line in place of the live line."""
        if not self._enabled:
            return
        self._live_line.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def scalars(self, images_seen: int, values: dict[str, float], **fields) -> None:
        """Write one JSONL row and one TensorBoard point per value.

        Args:
          images_seen: the run's clock.
          values: name -> number; TensorBoard groups names by their part before "/".
          **fields: further fields of the row, such as `stage`; not for TensorBoard.
        """
        if not self._enabled:
            return
        images_seen = int(images_seen)
        values = {name: float(value) for name, value in values.items()}
        clock = {"images_seen": images_seen, "kimg": images_seen / 1000}
        self._row(clock | fields | values)
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, global_step=images_seen)
        self._upload(LOG)

    def event(self, kind: str, **fields) -> None:
        """Write the JSONL row {"event": kind, ...}."""
        if self._enabled:
            self._row({"event": kind} | fields)

    def warning(self, images_seen: int, text: str) -> None:
        """Print a warning, and record it for the report."""
        self.line(f"WARNING: {text}")
        self.event("warning", kimg=images_seen / 1000, message=text)

    def images(
        self,
        name: str,
        images_seen: int,
        images_uint8: np.ndarray | Callable[[], np.ndarray],
        columns: int,
        scale_to: int | None = None,
    ) -> None:
        """Write a grid to `images/<name>-<kimg>.png` and, smaller, to TensorBoard.

        A thread writes it; see `wait_for_images`. If a grid is waiting for the thread
        already, this waits until the thread takes it.

        Args:
          name: name of the file and TensorBoard's tag.
          images_seen: the run's clock.
          images_uint8: [N,H,W,C] uint8, C of 1, 3 or 4, or a function that returns
            them, for the thread to call.
          columns: images per row of the grid.
          scale_to: enlarge by the smallest integer factor that makes each image at
            least this high and wide, in pixels; None for no enlargement.
        """
        if not self._enabled:
            return
        kimg, images = divmod(int(images_seen), 1000)
        path = self._workdir / "images" / f"{name}-{kimg:06d}.{images:03d}.png"

        def write() -> None:
            tiles = images_uint8() if callable(images_uint8) else images_uint8
            grid = image_grid(enlarge(tiles, scale_to), columns)
            with self.warn_on_os_error(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path, grid, PNG_COMPRESS_LEVEL, grid=True)
                self._tensorboard.add_image(
                    name,
                    shrink(rgb_on_white(grid), TENSORBOARD_PIXELS),
                    global_step=images_seen,
                    dataformats="HWC",
                )
            self._upload("images")

        self._writer.submit(write)

    def wait_for_images(self) -> None:
        """Wait until all images are written."""
        if self._enabled:
            self._writer.wait()

    def close(self) -> None:
        """Write all images, erase the live line and close the files.

        May be called twice.
        """
        if not self._enabled:
            return
        self._enabled = False
        try:
            self._writer.close()
        finally:
            self._close_files()

    def _close_files(self) -> None:
        self._live_line.clear()
        with self.warn_on_os_error(self._workdir):
            self._log.close()
            self._tensorboard.close()
        if self._mirror is not None:
            self._upload(LOG, "images", "tensorboard")
            self._mirror.close()

    def _upload(self, *names: str) -> None:
        if self._mirror is not None:
            with self.warn_on_os_error(self._workdir):
                self._mirror.upload(*names)

    def _row(self, fields: dict[str, Any]) -> None:
        row = {"time": round(time.time(), 3)} | fields
        with self.warn_on_os_error(self._workdir / LOG):
            self._log.write(json.dumps(to_jsonable(row), allow_nan=False) + "\n")
            self._log.flush()

    @contextlib.contextmanager
    def warn_on_os_error(self, path: Path) -> Iterator[None]:
        """Turn an error in writing logs into a warning, so that the run continues."""
        try:
            yield
        except OSError as error:
            self._stream.write(f"WARNING: {path} could not be written: {error}\n")


def format_duration(seconds: float) -> str:
    """Format a duration in two units: "42s", "3m 10s", "2h 05m", "1d 03h"."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = max(0, int(seconds))
    for unit, size, below, below_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // below_size:02d}{below}"
    return f"{whole}s"


def _open_log(path: Path) -> TextIO:
    """Open for appending, on a new line even if the last row is incomplete."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    return path.open("a", encoding="utf-8")
