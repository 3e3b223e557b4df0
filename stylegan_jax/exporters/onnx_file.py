"""A network as an ONNX file, for ONNX Runtime in browsers, phones and servers.

`onnx_conversion` converts the operations. Activations are always float32, because ONNX
Runtime does not support bfloat16 on CPUs.
"""

import importlib.util
import json
import os
from typing import Any

import jax.numpy as jnp

from stylegan_jax.exporters.programs import description, is_description, program
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import storage

KEY = "stylegan_jax"  # key of the description in the metadata
MAX_BYTES = 2**31 - 1  # protobuf's limit for a message


def check_installed() -> None:
    """Raise ValueError if the package that writes ONNX is not installed."""
    if importlib.util.find_spec("onnx") is None:
        raise ValueError(
            "ONNX files need the package onnx, which is not installed: run `python -m "
            "pip install -e '.[onnx]'`, or export --format=stablehlo or safetensors, "
            "which need nothing else"
        )


def write(network: Network, part: str, path: str | os.PathLike) -> None:
    """Write a part of a network as an ONNX file, atomically.

    Args:
      network: the network.
      part: one of `programs.PARTS`.
      path: the file.

    Raises:
      ValueError: the package onnx is missing, an operation of the network has no
        counterpart, or the file would be larger than the format allows.
      OSError: the file cannot be written.
    """
    storage.write_atomically(path, serialized(network, part))


def serialized(network: Network, part: str) -> bytes:
    """Return the content of the file that `write` writes."""
    check_installed()
    from stylegan_jax.exporters import onnx_conversion  # imports onnx

    chosen = program(network, part, jnp.float32)
    about = description(network, chosen)
    model = onnx_conversion.convert(chosen, {KEY: json.dumps(about)})
    if model.ByteSize() > MAX_BYTES:
        raise ValueError(
            f"the {part} of {network.reference} takes {model.ByteSize():,} bytes as "
            f"ONNX; a file may have {MAX_BYTES:,}; export --part=mapping and "
            "--part=synthesis separately, or use --format=stablehlo"
        )
    return model.SerializeToString()


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Return the description of a file that `write` wrote, and facts about its graph.

    Raises:
      ValueError: onnx is not installed, or the file is damaged or not one of ours.
      OSError: the file cannot be read.
    """
    check_installed()
    import onnx
    from google.protobuf.message import DecodeError

    problem = "is damaged, or not a file that `export --format=onnx` wrote"
    try:
        model = onnx.load(path, load_external_data=False)
        texts = {entry.key: entry.value for entry in model.metadata_props}
        about = json.loads(texts[KEY])
    except (DecodeError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} {problem}: {error}") from error
    if not is_description(about):
        raise ValueError(f"{path} {problem}: its metadata does not describe a program")
    return about | {
        "opset": max(x.version for x in model.opset_import),
        "operations": len(model.graph.node),
    }
