"""The only import of TensorFlow, which the project uses to read images."""

import functools
import os
from typing import Any


@functools.cache
def tensorflow() -> Any:
    """Import TensorFlow on first use, with little logging and without accelerators."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")  # they are for JAX
    return tf
