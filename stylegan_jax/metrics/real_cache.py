"""Statistics of real images, kept on disk between evaluations."""

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VERSION = 1  # of what is stored; to be raised when its meaning changes
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class RealCache:
    """Arrays under a description of what they are of; never a wrong one.

    A file holds the description too, and its arrays carry checksums; what can't be read
    or is of something else is made again.
    """

    def __init__(self, directory: Path, on_warning: Callable[[str], None]):
        """Names the directory, which the first `store` makes.

        Args:
          directory: on a disk.
          on_warning: told of files that are damaged or can't be written.
        """
        self._directory, self._on_warning = directory, on_warning

    def load(self, what: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """The arrays of `what`, which JSON can hold; None if there are none."""
        path = self._path(what)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["description"]) != _text(what):
                    raise ValueError("it is of something else")
                return {k: file[k] for k in file.files if k != "description"}
        except _DAMAGE as error:
            self._on_warning(f"{path} is damaged ({error}); it is made again")
            return None

    def store(self, what: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Keeps arrays; the file is there whole or not at all."""
        path = self._path(what)
        # Other processes, of other machines too, may be writing the same.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez(file, description=np.array(_text(what)), **arrays)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            self._on_warning(f"{path} could not be written: {error}")
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _path(self, what: dict[str, Any]) -> Path:
        digest = hashlib.sha256(_text(what).encode()).hexdigest()
        return self._directory / f"{what['quantity']}-{digest[:24]}.npz"


def _text(what: dict[str, Any]) -> str:
    return json.dumps(what | {"version": VERSION}, sort_keys=True)
