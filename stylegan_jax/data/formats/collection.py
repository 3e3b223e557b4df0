"""What `prepare` reads: images in a fixed order, whatever they are kept in."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable

import numpy as np

from stylegan_jax.data.labels import Labels

MAX_FILE_BYTES = 2**28  # larger files and entries are refused unread


class Unusable(Exception):
    """One image can't be used; the text says why and follows the image's name."""


@dataclasses.dataclass(frozen=True)
class Collection:
    """Images in a fixed order.

    Attributes:
      name: what messages call it.
      names: of the images, with forward slashes.
      identity: hex digest of names and sizes; the same files give the same.
      read: index -> a file's content, or uint8 [H, W] or [H, W, C]. Fast when the
        indices rise. Raises Unusable.
      label_file: content of NVIDIA's dataset.json, None without it.
      own_labels: where the format has them.
    """

    name: str
    names: tuple[str, ...]
    identity: str
    read: Callable[[int], bytes | np.ndarray]
    label_file: bytes | None = None
    own_labels: Labels | None = None


def identity(entries: Iterable[tuple[str, int]]) -> str:
    """Hex digest of (name, size in bytes) pairs."""
    text = json.dumps([list(entry) for entry in entries])
    return hashlib.sha256(text.encode()).hexdigest()


def check_bytes(size: int) -> None:
    """Raises Unusable for a file or an entry that is empty, or absurdly large."""
    if size > MAX_FILE_BYTES:
        raise Unusable(
            f"takes {size:,} bytes; at most {MAX_FILE_BYTES:,} are read, in case it is "
            "a decompression bomb"
        )
    if not size:
        raise Unusable("is empty")
