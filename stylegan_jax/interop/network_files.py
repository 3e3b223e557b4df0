"""Reads the network files that NVIDIA published; runs none of the code in them."""

from pathlib import Path

from stylegan_jax.interop import tf_pickles, torch_pickles
from stylegan_jax.weights import pickle, pickle_stubs
from stylegan_jax.weights.pickle import PickleError

Network = tf_pickles.Network | torch_pickles.Network


def read_networks(path: str | Path) -> dict[str, Network]:
    """Reads the networks of an official file.

    Args:
      path: a `.pkl` of StyleGAN, StyleGAN2 or StyleGAN2-ADA, TensorFlow's or PyTorch's.

    Returns:
      `generator`, `discriminator` and `generator_ema`. A TensorFlow file that holds a
      single network does not tell which of them it is: it is returned as `network`.
      Each network says which `source` it is of, its `kwargs`, and `all_variables()`.

    Raises:
      PickleError: the file is damaged, asks for anything that a network file has no
        need of, or is something else altogether.

    Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative
      Adversarial Networks", official release, and the releases of its successors.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > pickle_stubs.MAX_BYTES:
        raise PickleError(
            f"{path}: has {size:,} bytes; network files have at most "
            f"{pickle_stubs.MAX_BYTES:,}"
        )
    data = path.read_bytes()
    # Damaged bytes can raise almost any exception in here (the pickle documentation
    # says so), and all of them mean the same to the user.
    try:
        return _networks(data)
    except PickleError as error:
        raise PickleError(f"{path}: {error}") from None
    except Exception as error:
        raise PickleError(
            f"{path}: is truncated or damaged ({size:,} bytes; "
            f"{type(error).__name__}: {str(error)[:120]}). Nothing in it was executed; "
            "please download it again"
        ) from error


def _networks(data: bytes) -> dict[str, Network]:
    pickle.refuse_foreign(data)
    rest = len(data) - pickle.program_end(data)
    pickle.require(rest == 0, f"goes on for {rest:,} bytes after its end")
    names = pickle_stubs.names() | tf_pickles.names() | torch_pickles.names()
    content = pickle.Reader(data, names).load()
    if isinstance(content, dict):
        return torch_pickles.networks(content)
    return tf_pickles.networks(content)
