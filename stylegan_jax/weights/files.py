"""Read weight files of any format, without running anything in them."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from stylegan_jax.weights import (
    pickle,
    pickle_stubs,
    safetensors,
    tf_networks,
    torch_files,
    torch_modules,
)
from stylegan_jax.weights.pickle import PickleError
from stylegan_jax.weights.safetensors import FormatError
from stylegan_jax.weights.tf_networks import TFNetwork
from stylegan_jax.weights.torch_modules import TorchModule

T = TypeVar("T")
EXPECTED = "weights as .pth (a state dict), TorchScript .pt, or .safetensors"


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the tensors of a file.

    Args:
      path: A PyTorch state dict, in the legacy format (PyTorch below 1.6) or the zip
        format, a TorchScript module, or safetensors. The content decides, not the name.

    Returns:
      Name -> array, which may be read-only; in the file's order except for safetensors.

    Raises:
      ValueError: The file is damaged, requests anything that weights do not need, or
        is of another kind.
      OSError: The file cannot be read.
    """
    path = Path(path)
    size = _checked_size(path)
    with path.open("rb") as file:
        head = file.read(256)
    with _readable_errors(path, size):
        if head.startswith(torch_files.ZIP):
            return torch_files.read_zip(path)
        if head.startswith(torch_files.OLD):
            return torch_files.read_old(path)
        if head[8:9] == b"{":
            return safetensors.read(path)[0]
        pickle.refuse_foreign(head, EXPECTED)
        raise FormatError(f"the file has an unknown format; expected {EXPECTED}")


def convert_tensors(
    path: str | os.PathLike, convert: Callable[[dict[str, np.ndarray]], T]
) -> T:
    """Apply a function to the tensors of a file; its errors name the file.

    Raises:
      ValueError: See `read_tensors`, or raised by the function.
      OSError: The file cannot be read.
    """
    tensors = read_tensors(path)
    try:
        return convert(tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_networks(path: str | os.PathLike) -> dict[str, TFNetwork | TorchModule]:
    """Read the networks in a pickle that NVIDIA's code wrote.

    Args:
      path: A `.pkl` of StyleGAN, StyleGAN2, StyleGAN2-ADA or StyleGAN3, by TensorFlow
        or PyTorch.

    Returns:
      `generator`, `discriminator` and `generator_ema`. A TensorFlow file with a single
      network does not say which of them it is; that network is returned as `network`.

    Raises:
      PickleError: The file is damaged, requests anything that a network file does not
        need, or is of another kind.
      OSError: The file cannot be read.
    """
    path = Path(path)
    size = _checked_size(path)
    data = path.read_bytes()
    with _readable_errors(path, size):
        pickle.refuse_foreign(data)
        names = pickle_stubs.names() | tf_networks.names() | torch_modules.names()
        content = pickle.load_program(data, names)
        if isinstance(content, dict):
            return torch_modules.networks(content)
        return tf_networks.networks(content)


def _checked_size(path: Path) -> int:
    """Return the size of a file in bytes.

    Raises:
      PickleError: The file is too large.
    """
    size = path.stat().st_size
    if size > pickle_stubs.MAX_BYTES:
        raise PickleError(
            f"cannot read {path}: the file has {size:,} bytes; weight files have "
            f"at most {pickle_stubs.MAX_BYTES:,}"
        )
    return size


@contextlib.contextmanager
def _readable_errors(path: Path, size: int) -> Iterator[None]:
    """Make every error name the file.

    Damaged bytes can raise almost any exception, as pickle's documentation says; to the
    user, all of them mean the same.
    """
    try:
        yield
    except (PickleError, FormatError) as error:
        raise type(error)(f"cannot read {path}: {error}") from None
    except Exception as error:
        raise PickleError(
            f"cannot read {path}: the file is truncated or damaged ({size:,} bytes; "
            f"{type(error).__name__}: {str(error)[:120]}), and nothing in it was "
            "executed; download it again"
        ) from error
