"""Paths on disk or in a bucket (gs://, s3://), through `etils.epath`.

Buckets are accessed through TensorFlow where it supports the scheme, else through
fsspec with gcsfs or s3fs; the arrays of checkpoints through TensorStore. None of this
has been tested with a real bucket (see docs/many_devices.md).
"""

import contextlib
import importlib.util
import json
import math
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np
from etils import epath

from stylegan_jax.runtime.tensorflow import tensorflow

# Scheme -> package that fsspec needs for it.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}
# Scheme -> command that copies to a disk.
COPY_COMMANDS = {"gs": "gcloud storage cp -r", "s3": "aws s3 cp --recursive"}
USE_TENSORFLOW = "EPATH_USE_TF"  # environment variable of etils
FALSE = ("false", "no", "f", "0")  # values that turn it off


def open_path(path: str | os.PathLike) -> epath.Path:
    """Return a path with `~` expanded, for reading and writing.

    Raises:
      ValueError: if its scheme is not supported, or the package for it is missing.
    """
    text = os.fspath(path)
    scheme = scheme_of(text)
    if scheme is not None:
        _check_scheme(text, scheme)
    return epath.Path(text).expanduser()


def local_path(path: str | os.PathLike, setting: str) -> Path:
    """Return a path on disk with `~` expanded, for files that buckets cannot hold.

    Args:
      path: the path.
      setting: name of the setting that it comes from, for the message.

    Raises:
      ValueError: if the path is in a bucket.
    """
    text = os.fspath(path)
    scheme = scheme_of(text)
    if scheme is not None:
        copy = COPY_COMMANDS.get(scheme)
        raise ValueError(
            f"`{setting}` (={text!r}) must be on a disk: only runs and, in training, "
            "folders of images may be in a bucket; copy it to a disk"
            + (f" with `{copy} {shlex.quote(text)} ...`" if copy else "")
        )
    return Path(text).expanduser()


def scheme_of(path: str | os.PathLike) -> str | None:
    """Return the scheme of a path, "gs" for gs://bucket; None for a path on disk."""
    head, found, _ = os.fspath(path).partition("://")
    return head if found else None


def _check_scheme(path: str, scheme: str) -> None:
    if scheme not in PACKAGES:
        allowed = ", ".join(f"{name}://" for name in PACKAGES)
        raise ValueError(
            f"the scheme of {path} is not supported; use {allowed}, or a path on disk"
        )
    package = PACKAGES[scheme]
    if _etils_uses_tensorflow():
        if scheme not in _tensorflow_schemes():
            raise ValueError(
                f"this TensorFlow cannot read {path}; set {USE_TENSORFLOW}=false in "
                "the environment, which makes etils use fsspec instead, and "
                f"pip install {package}"
            )
    elif not _is_installed(package):
        raise ValueError(f"{path} needs the package {package}: pip install {package}")


def _etils_uses_tensorflow() -> bool:
    wanted = os.environ.get(USE_TENSORFLOW, "").lower() not in FALSE
    return wanted and _is_installed("tensorflow")


def _tensorflow_schemes() -> list[str]:
    return tensorflow().io.gfile.get_registered_schemes()


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def write_json(path: str | os.PathLike, data: Any) -> None:
    """Write indented JSON atomically; nan and inf become strings."""
    text = json.dumps(to_jsonable(data), allow_nan=False, indent=2)
    write_atomically(path, (text + "\n").encode())


def to_jsonable(value: Any) -> Any:
    """Convert a value to JSON types; nan and inf become strings."""
    if isinstance(value, dict):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return to_jsonable(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file atomically: a failure leaves the previous content."""
    if scheme_of(path) is not None:
        epath.Path(path).write_bytes(content)  # an object appears when it is complete
        return
    with open_atomically(Path(path)) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file on disk that is renamed to `path` if the block ends without an error.

    Until then, its content is in a hidden file next to it, which is removed after a
    failure. An OSError, such as that of a full disk, names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, os.fspath(temporary)):
            raise naming(path, error) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def naming(path: str | os.PathLike, error: OSError) -> OSError:
    """Return an OSError with the path that it concerns.

    Errors in writing to an open file, such as those of a full disk, do not name the
    file.
    """
    if error.errno is None:
        return error
    return OSError(error.errno, os.strerror(error.errno), os.fspath(path))


class Mirror:
    """A local directory whose changed files are uploaded to a bucket.

    Attributes:
      local: the directory.
    """

    def __init__(self, remote: epath.Path, resumed: tuple[str, ...]):
        """Create the directory.

        Args:
          remote: directory in the bucket.
          resumed: names of files that will be appended to; downloaded if they exist.
        """
        self._remote = remote
        self._directory = tempfile.TemporaryDirectory(prefix="stylegan_jax-")
        self.local = Path(self._directory.name)
        self._uploaded: dict[Path, tuple[int, int]] = {}
        for name in resumed:
            if (remote / name).exists():
                (self.local / name).write_bytes((remote / name).read_bytes())

    def upload(self, *names: str) -> None:
        """Upload those of these files that changed, including files in directories.

        Raises:
          OSError: if an upload fails for any reason.
        """
        for name in names:
            path = self.local / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    self._upload(file)

    def close(self) -> None:
        """Remove the local directory."""
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
        except Exception as error:  # the backends share no exception class
            raise OSError(f"upload to {target} failed: {error}") from error
        self._uploaded[file] = version
