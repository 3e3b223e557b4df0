"""Latents and styles from files, as NumPy and the official projector write them."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from stylegan_jax.models import Generator
from stylegan_jax.runtime.messages import listed

KINDS = ("z", "w", "ws")
MAX_BYTES = 2**31  # maximum size of an array in a file
_HEADER_BYTES = 2**16  # maximum size of the header of an array
# Errors that damaged files raise; zipfile raises RuntimeError for encrypted ones.
DAMAGE = (
    *(ValueError, EOFError, RecursionError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


class Latents(NamedTuple):
    """The content of a file.

    Attributes:
      kind: "z" or "ws".
      values: z [N,Z] or ws [N,L,W], float32.
    """

    kind: str
    values: np.ndarray


def read(
    path: Path, generator: Generator, setting: str, max_bytes: int = MAX_BYTES
) -> Latents:
    """Read the latents of a `.npy` or `.npz` file.

    A `.npz` file holds one of the arrays `z` [N,Z], `w` [N,W] or [N,L,W], as in the
    official `projected_w.npz`, or `ws` [N,L,W]. In a `.npy` file, the shape decides; an
    array that could be z or w is rejected.

    Args:
      path: the file. Nothing in it is executed.
      generator: the network that the latents are for.
      setting: name of the flag, for messages.
      max_bytes: maximum size of the array, also after decompression.

    Raises:
      ValueError: the file is damaged, or its arrays do not fit the network.
      OSError: the file cannot be read.
    """
    shown = f"`{setting}` (={path})"
    try:
        if zipfile.is_zipfile(path):
            name, array = _from_npz(path, max_bytes)
        else:
            name, array = None, _from_npy(path, max_bytes)
    except DAMAGE as error:
        raise ValueError(f"{shown} cannot be used: {error}") from error
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{shown} must hold finite numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{shown} holds numbers beyond float32")
    return _fit(array, name, generator, shown)


def read_groups(path: Path, count: int, setting: str) -> np.ndarray | None:
    """Read the labels of the latents in an `.npz` file: the array `labels` [N].

    Args:
      path: the file, which `read` has read.
      count: N, the number of its latents.
      setting: name of the flag, for messages.

    Returns:
      [N] bool; None if there is no such array.

    Raises:
      ValueError: the file is damaged, or the labels are not N zeros and ones.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if "labels.npy" not in archive.namelist():
                return None
            with archive.open("labels.npy") as file:
                labels = _array(file, MAX_BYTES)
    except DAMAGE as error:
        raise ValueError(f"`{setting}` (={path}) cannot be used: {error}") from error
    if labels.shape != (count,) or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"`{setting}` (={path}) must hold labels of the shape [{count}], each 0 or "
            f"1, one for each latent, not {list(labels.shape)} of {labels.dtype}"
        )
    return labels.astype(bool)


def note_noise_maps(path: Path) -> None:
    """Print a note if a file that `read` has read also holds noise maps.

    `project` fits such maps to each image; `read` ignores them, as the official
    programs do.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        maps = [name for name in archive.namelist() if name.startswith("noise/")]
    if maps:
        print(
            f"NOTE: {path} holds {len(maps)} noise maps, which are not used; the "
            "images use those of the network. Project with --noise=const for latents "
            "that do not need maps of their own."
        )


def _fit(
    array: np.ndarray, name: str | None, generator: Generator, shown: str
) -> Latents:
    """Return an array as z or ws of a network."""
    z, w, layers = generator.z_dim, generator.w_dim, generator.num_ws
    fits = {
        "z": array.ndim == 2 and array.shape[1] == z,
        "w": array.ndim == 2 and array.shape[1] == w,
        "ws": array.shape[1:] == (layers, w),
    }
    kinds = [
        kind
        for kind, fit in fits.items()
        if fit and (name in (None, kind) or (name, kind) == ("w", "ws"))
    ]
    if len(array) and len(kinds) == 1:
        if kinds == ["w"]:
            array = np.repeat(array[:, None], layers, axis=1)
        return Latents("z" if kinds == ["z"] else "ws", array)
    if len(kinds) == 2:
        raise ValueError(
            f"{shown} has the shape {list(array.shape)}, which fits both z and w; save "
            "it with its name: numpy.savez(file, z=...) or numpy.savez(file, w=...)"
        )
    raise ValueError(
        f"{shown} holds {name or 'an array'} of the shape {list(array.shape)}; this "
        f"network takes z [N, {z}], w [N, {w}] or ws [N, {layers}, {w}], at least one"
    )


def _from_npz(path: Path, max_bytes: int) -> tuple[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        found = [kind for kind in KINDS if f"{kind}.npy" in archive.namelist()]
        if len(found) != 1:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            raise ValueError(
                f"it must hold one array named {listed(KINDS)}; it holds "
                f"{listed(names) or 'none'}"
            )
        entry = archive.getinfo(f"{found[0]}.npy")
        if entry.file_size > max_bytes + _HEADER_BYTES:
            raise ValueError(
                f"{entry.filename} has {entry.file_size:,} bytes; latents are numbers, "
                f"at most {max_bytes:,} bytes"
            )
        with archive.open(entry) as file:
            return found[0], _array(file, max_bytes)


def _from_npy(path: Path, max_bytes: int) -> np.ndarray:
    with path.open("rb") as file:
        return _array(file, max_bytes)


def _array(file, max_bytes: int) -> np.ndarray:
    """Read an array after a check of the size that its header declares."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its NumPy format {version} is unknown")
    reader = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    count = int(np.prod([int(n) for n in shape], dtype=object))
    size = count * dtype.itemsize
    if dtype.hasobject or size > max_bytes:
        raise ValueError(
            f"it holds {list(shape)} of {dtype}; latents are numbers, at most "
            f"{max_bytes:,} bytes"
        )
    content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(
            f"it is truncated or damaged: {list(shape)} of {dtype} expected"
        )
    array = np.frombuffer(content, dtype, count)
    return array.reshape(shape, order="F" if fortran else "C")
