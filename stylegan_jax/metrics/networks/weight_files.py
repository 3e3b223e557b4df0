"""Reads files of weights, whatever their kind; runs nothing that is in them."""

import os
import struct
from pathlib import Path

import numpy as np

from stylegan_jax.interop import torch_weights
from stylegan_jax.weights import pickle, pickle_stubs, safetensors
from stylegan_jax.weights.pickle import PickleError
from stylegan_jax.weights.safetensors import FormatError

EXPECTED = "weights as .pth (a state dict), TorchScript .pt, or .safetensors"


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a file.

    Args:
      path: a PyTorch state dict in the format of before or since 1.6, a TorchScript
        module, or safetensors. The content tells, not the name.

    Returns:
      Name -> read-only array, in the file's order.

    Raises:
      ValueError: the file is damaged, asks for anything that weights have no need of,
        or is something else altogether.
      OSError: it cannot be read.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > pickle_stubs.MAX_BYTES:
        raise ValueError(
            f"{path} has {size:,} bytes; files of weights have at most "
            f"{pickle_stubs.MAX_BYTES:,}"
        )
    with path.open("rb") as file:
        head = file.read(256)
    # Damaged bytes can raise almost any exception in here (the pickle documentation
    # says so), and all of them mean the same to the user.
    try:
        if head.startswith(torch_weights.ZIP):
            return torch_weights.read_zip(path)
        if head.startswith(torch_weights.OLD):
            return torch_weights.read_old(path)
        if _is_safetensors(head, size):
            return safetensors.read(path)[0]
        pickle.refuse_foreign(head, EXPECTED)
    except (PickleError, FormatError) as error:
        raise type(error)(f"{path} {error}") from None
    except Exception as error:
        raise PickleError(
            f"{path} is truncated or damaged ({size:,} bytes; "
            f"{type(error).__name__}: {str(error)[:120]}). Nothing in it was executed; "
            "please download it again"
        ) from error
    raise ValueError(f"{path} is of an unknown kind. Expected: {EXPECTED}")


def _is_safetensors(head: bytes, size: int) -> bool:
    if len(head) < 9 or head[8:9] != b"{":
        return False
    return struct.unpack("<Q", head[:8])[0] <= size - 8
