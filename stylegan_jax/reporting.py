"""Reports: console lines, JSONL, TensorBoard scalars and images, PNG grids.

Only the main process reports. The log is append-only and survives kill -9: a row is
flushed when written, and a half-written one never spoils the next. In a bucket the log
and the images are those of the last tick, and TensorBoard's file comes at the end.
"""

import contextlib
import datetime
import importlib.metadata
import io
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
import tensorboardX
from etils import epath
from PIL import Image

from stylegan_jax import paths
from stylegan_jax.mirror import Mirror

LOG = "log.jsonl"
LIVE_LINE_SECONDS = 0.2
_PACKAGES = (
    "stylegan-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "tensorflow",
)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Reporter:
    """Writes `log.jsonl`, `tensorboard/` and `images/` below a run's directory."""

    def __init__(
        self,
        workdir: str | os.PathLike,
        enabled: bool,
        stream: TextIO | None = None,
    ):
        """Opens the log and TensorBoard; a resumed run appends to both.

        Args:
          workdir: directory of the run, maybe in a bucket; created if missing.
          enabled: true in the main process; otherwise every method does nothing.
          stream: where lines go; None for `sys.stdout`.
        """
        self._enabled = enabled
        self._stream = sys.stdout if stream is None else stream
        self._live = False
        self._live_time_seconds = -math.inf
        if not enabled:
            return
        self._mirror = None
        if paths.scheme_of(workdir) is not None:
            self._mirror = Mirror(epath.Path(workdir), (LOG,))
            workdir = self._mirror.local
        self._workdir = Path(workdir)
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._log = _open_log(self._workdir / LOG)
        self._tensorboard = tensorboardX.SummaryWriter(
            str(self._workdir / "tensorboard"), flush_secs=20
        )

    def progress(self, text: str) -> None:
        """Rewrites the live line, a few times per second; only on a terminal."""
        if not self._enabled or not self._stream.isatty():
            return
        now = time.monotonic()
        if now - self._live_time_seconds < LIVE_LINE_SECONDS:
            return
        self._live_time_seconds = now
        self._live = True
        # A line as wide as the terminal would wrap, and \r not return to its start.
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r{' '.join(text.split())[:width]}\x1b[K")
        self._stream.flush()

    def line(self, text: str) -> None:
        """Prints a line that stays; the live line is cleared first."""
        if not self._enabled:
            return
        self._clear_live_line()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def scalars(self, images_seen: int, values: dict[str, float], **fields) -> None:
        """Writes one JSONL row and one TensorBoard point per value.

        Args:
          images_seen: the run's clock.
          values: name -> number; TensorBoard groups names by what is before a "/".
          **fields: what else the row holds, such as `stage`; not in TensorBoard.
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
        """Writes the JSONL row {"event": kind, ...}."""
        if self._enabled:
            self._row({"event": kind} | fields)

    def images(
        self,
        name: str,
        images_seen: int,
        images_uint8: np.ndarray,
        columns: int,
        scale_to: int | None = None,
    ) -> None:
        """Writes a grid to `images/<name>-<kimg>.png` and to TensorBoard.

        Args:
          name: the file's name and TensorBoard's tag.
          images_seen: the run's clock.
          images_uint8: [N,H,W,C] uint8, C of 1, 3 or 4.
          columns: images in a row of the grid.
          scale_to: enlarge by the smallest whole factor that makes each image at
            least this high and wide, in pixels; None for no enlargement.
        """
        if not self._enabled:
            return
        grid = image_grid(enlarge(images_uint8, scale_to), columns)
        kimg, images = divmod(int(images_seen), 1000)
        path = self._workdir / "images" / f"{name}-{kimg:06d}.{images:03d}.png"
        with self.going_on(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_png(path, grid)
            self._tensorboard.add_image(
                name, _rgb(grid), global_step=images_seen, dataformats="HWC"
            )
        self._upload("images")

    def close(self) -> None:
        """Clears the live line and closes the files; may be called twice."""
        if not self._enabled:
            return
        self._clear_live_line()
        self._enabled = False
        with self.going_on(self._workdir):
            self._log.close()
            self._tensorboard.close()
        if self._mirror is not None:
            self._upload(LOG, "images", "tensorboard")
            self._mirror.close()

    def _upload(self, *names: str) -> None:
        if self._mirror is not None:
            with self.going_on(self._workdir):
                self._mirror.upload(*names)

    def _clear_live_line(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._live = False

    def _row(self, fields: dict[str, Any]) -> None:
        row = {"time": round(time.time(), 3)} | fields
        with self.going_on(self._workdir / LOG):
            self._log.write(json.dumps(jsonable(row), allow_nan=False) + "\n")
            self._log.flush()

    @contextlib.contextmanager
    def going_on(self, path: Path) -> Iterator[None]:
        """A record that a full disk refuses must not end the run that it is about."""
        try:
            yield
        except OSError as error:
            self._stream.write(f"WARNING: {path} could not be written: {error}\n")


def image_grid(images_uint8: np.ndarray, columns: int) -> np.ndarray:
    """Lays images out in rows; the last row is filled up with white.

    Args:
      images_uint8: [N,H,W,C] uint8, N of at least 1.
      columns: images per row, at least 1.

    Returns:
      [rows * H, columns * W, C] uint8.
    """
    images = np.asarray(images_uint8)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise ValueError(
            f"images must be [N,H,W,C] uint8 with N of at least 1, got "
            f"{list(images.shape)} {images.dtype}; see to_uint8"
        )
    if columns < 1:
        raise ValueError(f"columns (={columns}) must be at least 1")
    n, h, w, c = images.shape
    rows = -(-n // columns)
    cells = np.full((rows * columns, h, w, c), 255, np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * h, columns * w, c)


def enlarge(images_uint8: np.ndarray, scale_to: int | None) -> np.ndarray:
    """Repeats pixels so that [N,H,W,C] images have `scale_to` of them each way."""
    images = np.asarray(images_uint8)
    if scale_to is None:
        return images
    factor = max(1, -(-scale_to // min(images.shape[1:3])))
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def save_png(path: str | os.PathLike, image_uint8: np.ndarray) -> None:
    """Writes a [H,W,C] uint8 image, C of 1, 3 or 4; whole or not at all."""
    image = np.asarray(image_uint8)
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in _MODES:
        raise ValueError(
            f"an image must be [H,W,C] uint8 with C of {list(_MODES)}, got "
            f"{list(image.shape)} {image.dtype}"
        )
    buffer = io.BytesIO()
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    Image.fromarray(pixels).save(buffer, format="PNG")
    _write_atomically(path, buffer.getvalue())


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Maps floats in [-1,1] to uint8: trunc(127.5 x + 128), clamped; NaN is black.

    Reference: Karras et al. 2019, official code, convert_images_to_uint8.
    """
    images = np.clip(np.asarray(images, np.float32), -2, 2)
    scaled = np.nan_to_num(images, nan=-1.0) * np.float32(127.5) + np.float32(128)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def format_duration(seconds: float) -> str:
    """Two units of a duration: "42s", "3m 10s", "2h 05m", "1d 03h"."""
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


def write_json(path: str | os.PathLike, data: Any) -> None:
    """Writes indented JSON, whole or not at all; nan and inf become strings."""
    text = json.dumps(jsonable(data), allow_nan=False, indent=2)
    _write_atomically(path, (text + "\n").encode())


def versions() -> dict[str, str | None]:
    """The versions of the packages that a run's numbers depend on."""
    return {package: _version(package) for package in _PACKAGES}


def environment() -> dict[str, Any]:
    """What a run depended on: versions, devices, commit, command line, time."""
    devices = jax.devices()
    return {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "process_count": jax.process_count(),
        "git_commit": git_commit(),
    }


def _open_log(path: Path) -> TextIO:
    """Opens for appending, on a new line even if the last one was cut off."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    return path.open("a", encoding="utf-8")


def _rgb(image: np.ndarray) -> np.ndarray:
    """[H,W,C] uint8 in RGB as TensorBoard shows it; transparency over white."""
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.float32) / 255
        return np.rint(image[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return image


def jsonable(value: Any) -> Any:
    """The value as JSON can hold it; nan and inf become strings."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return jsonable(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _write_atomically(path: str | os.PathLike, content: bytes) -> None:
    if paths.scheme_of(path) is not None:
        epath.Path(path).write_bytes(content)  # an object appears when it is whole
        return
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _version(package: str) -> str | None:
    # tensorflow-cpu installs the same module under a name of its own.
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def git_commit() -> str | None:
    """The commit of the code, with "-dirty" if files differ; None outside git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
