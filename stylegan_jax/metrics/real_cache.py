"""An on-disk cache of the statistics of real images."""

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

from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.statistics import Networks, Statistic

# Increment this with `decoding.VERSION`, or when the meaning of the arrays changes.
VERSION = 2
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class RealCache:
    """Arrays in files that are named by a hash of their description.

    A file also contains its description, and its arrays carry checksums; a file that is
    damaged or has a different description counts as missing.
    """

    def __init__(self, directory: Path, on_warning: Callable[[str], None]):
        """Use a directory; the first `store` creates it.

        Args:
          directory: a directory on a local disk.
          on_warning: receives a line for a file that is damaged or cannot be written.
        """
        self._directory, self._on_warning = directory, on_warning

    def load(self, description: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the arrays of a description, or None if they are not stored."""
        path = self._path(description, VERSION)
        if not path.exists():
            self._tell_of_earlier_versions(description)
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["description"]) != _text(description, VERSION):
                    raise ValueError("its description differs")
                return {k: file[k] for k in file.files if k != "description"}
        except _DAMAGE as error:
            self._on_warning(f"{path} is damaged ({error}) and will be replaced.")
            return None

    def store(self, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Store arrays atomically."""
        path = self._path(description, VERSION)
        # Other processes, even on other machines, may be writing the same file.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez(
                    file, description=np.array(_text(description, VERSION)), **arrays
                )
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            self._on_warning(f"{path} could not be written: {error}.")
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _tell_of_earlier_versions(self, description: dict[str, Any]) -> None:
        for version in range(1, VERSION):
            path = self._path(description, version)
            if path.exists():
                self._on_warning(
                    f"{path} is of version {version} of these statistics, whose images "
                    f"were decoded in another way; version {VERSION} is computed now."
                )

    def _path(self, description: dict[str, Any], version: int) -> Path:
        digest = hashlib.sha256(_text(description, version).encode()).hexdigest()
        return self._directory / f"{description['quantity']}-{digest[:24]}.npz"


def _text(description: dict[str, Any], version: int) -> str:
    return json.dumps(description | {"version": version}, sort_keys=True)


def describe(
    statistic: Statistic, count: int, reals: RealImages, networks: Networks
) -> dict[str, Any]:
    """Return everything that a statistic of the first `count` reals depends on."""
    network = getattr(networks, statistic.network) if statistic.network else None
    # A statistic of all images in any order depends on the seed only if some of the
    # images are flipped.
    any_order = count == reals.count and statistic.any_order
    return {
        "quantity": statistic.name,
        "count": count,
        "seed": None if any_order and not reals.mirror else reals.seed,
        "of": reals.count,
        "fingerprint": reals.fingerprint,
        "size": list(reals.size),
        "channels": reals.source.channels,
        "fit": reals.fit + " mirrored" * reals.mirror,
        "detector": network and [network.name, network.digest],
        "resize": getattr(network, "resize", None),
    }
