"""Paths on disk or in a bucket (gs://, s3://), through `etils.epath`.

Buckets are read and written by TensorFlow where it knows the scheme, else by fsspec
with gcsfs or s3fs; the arrays of checkpoints by TensorStore. None of it has
been run against a real bucket yet (see docs/scaling.md).
"""

import importlib.util
import os
from pathlib import Path

from etils import epath

from stylegan_jax.data.images import tensorflow

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
