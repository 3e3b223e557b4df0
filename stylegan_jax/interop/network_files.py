"""Official network files: the code that wrote a network, and its arguments."""

import dataclasses
import os
from typing import Any

import numpy as np

from stylegan_jax.weights import files
from stylegan_jax.weights.tf_networks import TFNetwork
from stylegan_jax.weights.torch_modules import TorchModule

# The discriminators of StyleGAN2. Their defaults, which a file omits, differ from
# those of StyleGAN2-ADA's `D_main`.
_BEFORE_ADA = ("D_stylegan", "D_stylegan2")


@dataclasses.dataclass(frozen=True)
class OfficialNetwork:
    """A network of an official file; see `interop.from_official`.

    Attributes:
      source: Code base that it belongs to, one of `interop.SOURCES`.
      kwargs: Arguments of its constructor, plain Python values.
      variables: Official name -> float32 array.
    """

    source: str
    kwargs: dict[str, Any]
    variables: dict[str, np.ndarray]


def read_networks(path: str | os.PathLike) -> dict[str, OfficialNetwork]:
    """Read the networks of an official file, without running any code in it.

    Args:
      path: A `.pkl` of StyleGAN, StyleGAN2, StyleGAN2-ADA or StyleGAN3, by TensorFlow
        or PyTorch.

    Returns:
      `generator`, `discriminator` and `generator_ema`; the network of a TensorFlow file
      with a single one as `network`.

    Raises:
      ValueError: The file is damaged or not an official network file.
      OSError: The file cannot be read.

    Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative
      Adversarial Networks", official release, and the releases of its successors.
    """
    networks = files.read_networks(path)
    # The code that wrote StyleGAN3's generator has other defaults for discriminators.
    of_stylegan3 = any(
        isinstance(network, TorchModule) and _is_stylegan3(network)
        for network in networks.values()
    )
    return {
        role: OfficialNetwork(
            "stylegan3" if of_stylegan3 else _source(network),
            _arguments(network),
            network.all_variables(),
        )
        for role, network in networks.items()
    }


def _is_stylegan3(network: TorchModule) -> bool:
    return any(name.startswith("synthesis.input.") for name in network.variables)


def _source(network: TFNetwork | TorchModule) -> str:
    if isinstance(network, TorchModule):
        return "stylegan2-ada-pytorch"
    if network.version < 4 or network.func_name in ("G_style", "D_basic"):
        return "stylegan1"
    return "stylegan2-tf"


def _arguments(network: TFNetwork | TorchModule) -> dict[str, Any]:
    """Return the constructor's arguments, with their meaning in StyleGAN2-ADA."""
    if isinstance(network, TorchModule):
        return network.kwargs
    if network.func_name not in _BEFORE_ADA:
        return network.static_kwargs
    defaults = {"mbstd_group_size": 4, "mbstd_num_features": 1}
    kwargs = defaults | network.static_kwargs
    group_size = kwargs["mbstd_group_size"]
    if type(group_size) in (int, float) and group_size <= 1:
        # StyleGAN2 omits the statistics here; ADA would append them, a constant.
        kwargs |= {"mbstd_group_size": None, "mbstd_num_features": 0}
    return kwargs
