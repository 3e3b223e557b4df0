"""A small conditional run, and processes that are started side by side."""

import os
import subprocess
import time
from pathlib import Path

import jax
import numpy as np

from stylegan_jax import config

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 300  # fails a test that hangs, but none on a busy machine

CONFIG = """
from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.resolution = 8
    c.data.mirror = True
    c.data.conditional = True
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 8
    c.model.mapping_layers = 2
    c.model.channel_base = 64
    c.model.channel_max = 16
    c.training.initial_resolution = 4
    c.training.stage_kimg = 0.048
    c.training.fade_kimg = 0.096
    c.training.total_kimg = 0.112
    c.training.batch_size = 8
    c.training.steps_per_round = 2
    c.run.tick_kimg = 0.032
    c.run.checkpoint_every_ticks = 1
    c.run.keep_checkpoints = 10
    c.run.grid_rows = c.run.grid_columns = 2
    c.run.compilation_cache = None
    return c
"""


def experiment(**training) -> config.Experiment:
    scope: dict = {}
    exec(CONFIG, scope)
    c = scope["get_config"]()
    c.training.update(training)
    return config.parse(c)


def start(command: list[str], log: Path, **environment: str) -> subprocess.Popen:
    """Start a process with both outputs in a log file."""
    # The programs are small and run once: optimizing them takes longer than it saves.
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": str(ROOT)}
    with log.open("w") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | fast | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def finish(running: list[subprocess.Popen], seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until all processes have succeeded; kill the others if one does not."""
    deadline = time.monotonic() + seconds
    try:
        for process in running:
            process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        pass
    finally:
        codes = [process.poll() for process in running]
        for process in running:
            process.kill()
            process.wait()
    commands = [" ".join(process.args[1:]) for process in running]
    assert codes == [0] * len(running), (
        f"exit codes {codes} (None: still running after {seconds} s) of {commands}"
    )


def flat(prefix: str, tree) -> dict[str, np.ndarray]:
    """Return the leaves of a tree as NumPy arrays, by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    separator = "/" if prefix else ""
    return {
        prefix + separator + jax.tree_util.keystr(path): np.asarray(x)
        for path, x in leaves
    }
