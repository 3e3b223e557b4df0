"""The only import of TensorFlow, which the project uses to read images."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # environment variable, read when it is imported
NOTHING = "3"  # hides warnings, and errors, which are also raised as exceptions
DEFAULT_OF_JAX = "1"  # set by JAX when it is imported


@functools.cache
def tensorflow() -> Any:
    """Import TensorFlow on first use, without log lines and without accelerators.

    A value of TF_CPP_MIN_LOG_LEVEL that a user has set, other than 1, is kept.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with _without_log_lines():
        import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")  # JAX uses them
    return tf


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    before = os.environ.get(LOG_LEVEL)
    if before not in (None, DEFAULT_OF_JAX):
        yield
        return
    os.environ[LOG_LEVEL] = NOTHING
    try:
        yield
    finally:
        del os.environ[LOG_LEVEL]
        if before is not None:
            os.environ[LOG_LEVEL] = before
