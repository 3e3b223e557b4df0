"""The only import of TensorFlow, which reads images and nothing else."""

import functools
import os
from typing import Any


@functools.cache
def tensorflow() -> Any:
    """Imports TensorFlow on first use: quietly, and away from JAX's accelerators."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf
