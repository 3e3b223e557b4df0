"""Paths on disk or in a bucket (gs://, s3://), through `etils.epath`.

Buckets are read and written by TensorFlow where it knows the scheme, else by fsspec
with gcsfs or s3fs; the arrays of checkpoints by TensorStore. None of it has
been run against a real bucket yet (see docs/scaling.md).
"""

import importlib.util
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath

from stylegan_jax.runtime.tensorflow import tensorflow

# Scheme -> package that fsspec needs for it.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}
# ... and what copies to a disk.
COPY = {"gs": "gcloud storage cp -r", "s3": "aws s3 cp --recursive"}
USE_TENSORFLOW = "EPATH_USE_TF"  # etils' own variable ...
NO = ("false", "no", "f", "0")  # ... and what it takes for a no


def open_path(path: str | os.PathLike) -> epath.Path:
    """A path, usable as it is: `~` expanded, and a bucket's libraries there.

    Raises:
      ValueError: of a scheme that is not supported, or without the package for it.
    """
    text = os.fspath(path)
    scheme = scheme_of(text)
    if scheme is not None:
        _check_scheme(text, scheme)
    return epath.Path(text).expanduser()


def local_path(path: str | os.PathLike, setting: str) -> Path:
    """A path on disk, `~` expanded, of what is not read or written in buckets.

    Raises:
      ValueError: it is one in a bucket; calls it by the name of its `setting`.
    """
    text = os.fspath(path)
    scheme = scheme_of(text)
    if scheme is not None:
        copy = COPY.get(scheme)
        raise ValueError(
            f"`{setting}` (={text!r}) must be on a disk: in buckets only plain folders "
            "of images are read, in training, and runs written; copy it to a disk"
            + (f" with `{copy} {text} ...`" if copy else "")
        )
    return Path(text).expanduser()


def scheme_of(path: str | os.PathLike) -> str | None:
    """E.g. "gs" for gs://bucket/folder; None for a path on disk."""
    head, found, _ = os.fspath(path).partition("://")
    return head if found else None


def _check_scheme(path: str, scheme: str) -> None:
    if scheme not in PACKAGES:
        allowed = ", ".join(f"{name}://" for name in PACKAGES)
        raise ValueError(
            f"{path} is of a scheme that is not supported; use {allowed}, or a path on "
            "disk"
        )
    package = PACKAGES[scheme]
    if _etils_takes_tensorflow():
        if scheme not in _schemes_of_tensorflow():
            raise ValueError(
                f"{path}: this TensorFlow cannot read {scheme}://; set "
                f"{USE_TENSORFLOW}=false in the environment, which makes etils take "
                f"fsspec instead, and pip install {package}"
            )
    elif not _is_installed(package):
        raise ValueError(f"{path} needs the package {package}: pip install {package}")


def _etils_takes_tensorflow() -> bool:
    wanted = os.environ.get(USE_TENSORFLOW, "").lower() not in NO
    return wanted and _is_installed("tensorflow")


def _schemes_of_tensorflow() -> list[str]:
    return tensorflow().io.gfile.get_registered_schemes()


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def write_json(path: str | os.PathLike, data: Any) -> None:
    """Writes indented JSON, whole or not at all; nan and inf become strings."""
    text = json.dumps(jsonable(data), allow_nan=False, indent=2)
    write_atomically(path, (text + "\n").encode())


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


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all."""
    if scheme_of(path) is not None:
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


class Mirror:
    """Files are written here as on any disk, and uploaded when they have changed."""

    def __init__(self, remote: epath.Path, resumed: tuple[str, ...]):
        """Makes the directory.

        Args:
          remote: what it stands for, in a bucket.
          resumed: names of files that are appended to; fetched if they are there.
        """
        self._remote = remote
        self._directory = tempfile.TemporaryDirectory(prefix="stylegan_jax-")
        self.local = Path(self._directory.name)
        self._uploaded: dict[Path, tuple[int, int]] = {}
        for name in resumed:
            if (remote / name).exists():
                (self.local / name).write_bytes((remote / name).read_bytes())

    def upload(self, *names: str) -> None:
        """Copies what has changed of these files, and in these directories.

        Raises:
          OSError: the bucket refuses, for whatever reason.
        """
        for name in names:
            path = self.local / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    self._upload(file)

    def close(self) -> None:
        """Removes the local directory."""
        self._directory.cleanup()

    def _upload(self, file: Path) -> None:
        status = file.stat()
        version = status.st_size, status.st_mtime_ns
        if self._uploaded.get(file) == version:
            return
        target = self._remote / file.relative_to(self.local).as_posix()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        except Exception as error:  # backends have no class of errors in common
            raise OSError(f"upload to {target} failed: {error}") from error
        self._uploaded[file] = version
