"""TensorFlow is imported so that its log lines stay out of the way."""

import os
import sys

import pytest

from stylegan_jax.runtime import tensorflow as module

FAKE = """
import os

level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")


class config:
    hidden = []

    def get_visible_devices(kind):
        return ["gpu"]

    def set_visible_devices(devices, kind):
        config.hidden.append((devices, kind))
"""


@pytest.mark.parametrize(
    ("before", "during"), [(None, "3"), ("1", "3"), ("0", "0"), ("2", "2")]
)
def test_log_lines_are_hidden_unless_the_user_asks(
    tmp_path, monkeypatch, before, during
):
    """The variable counts when TensorFlow is imported; JAX reads it for itself."""
    (tmp_path / "tensorflow.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(module.LOG_LEVEL, raising=False)
    if before is not None:
        monkeypatch.setenv(module.LOG_LEVEL, before)
    imported = module.tensorflow.__wrapped__()
    assert imported.level == during
    assert os.environ.get(module.LOG_LEVEL) == before
    assert imported.config.hidden == [([], "GPU")]
    monkeypatch.delitem(sys.modules, "tensorflow")
