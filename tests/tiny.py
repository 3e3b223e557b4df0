"""A training run that is small enough for tests: configure, start and inspect it.

It trains at 8x8 for 112 images, fades 16x16 in up to 160, and continues with the same
programs up to 192. Every 16 images end a round and a tick, and save a checkpoint.
Programs come from the persistent cache that conftest.py sets up; other durations,
rates and intervals need no new programs.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from stylegan_jax import config, train, workdir
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup

ROOT = Path(__file__).resolve().parent.parent
BOUNDARY, END = 112, 192  # images when 16x16 begins, and at the end
SMALLEST = {"data.resolution": 4, "training.initial_resolution": 4}
# One stage of eight steps; the regularizers run in every second and third.
STYLEGAN2 = {
    "data.resolution": 8,
    "model.family": "stylegan2",
    "model.g_architecture": "skip",
    "model.d_architecture": "resnet",
    "model.channel_base": 128,
    "training.total_kimg": 0.064,
    "training.path_length_weight": 2.0,
    "training.g_reg_interval": 2,
    "training.d_reg_interval": 3,
    "training.ema_rampup": 0.5,
}
# One stage of eight steps, with a blur that fades within it.
STYLEGAN3 = {
    "data.resolution": 8,
    "model.family": "stylegan3",
    "model.d_architecture": "resnet",
    "model.channel_base": 128,
    "model.num_layers": 2,
    "model.num_critical": 1,
    "model.margin_size": 3,
    "training.total_kimg": 0.064,
    "training.style_mixing_probability": 0.0,
    "training.d_reg_interval": 3,
    "training.ema_rampup": 0.5,
    "training.magnitude_half_life_kimg": 0.1,
    "training.blur_init_sigma": 2.0,
    "training.blur_fade_kimg": 0.05,
}

# The probability adapts once, before the fifth step.
ADAPTIVE = {
    "training.augment": "bgc",
    "training.augment_speed_kimg": 0.1,
    "training.augment_target": 0.0,
    "training.discriminator_learning_rate": 0.02,
}

# The same control, of pseudo augmentation, with all other remedies for few images.
REMEDIES = {
    "data.held_out": 0.1,
    "model.spectral_norm": True,
    "training.augment": "pseudo",
    "training.augment_speed_kimg": 0.1,
    "training.augment_target": 0.0,
    "training.discriminator_learning_rate": 0.02,
    "training.lecam_weight": 0.01,
    "training.power_ema": (0.05, 0.1),
    "training.power_ema_snapshot_kimg": 0.032,
    "training.accumulation_rounds": 2,
}

_BASE = {
    "data.resolution": 16,
    "data.mirror": True,
    "model.z_dim": 8,
    "model.w_dim": 8,
    "model.mapping_layers": 2,
    "model.mapping_features": 8,
    "model.channel_base": 64,
    "model.channel_max": 16,
    "training.total_kimg": END / 1000,
    "training.initial_resolution": 8,
    "training.stage_kimg": 0.096,
    "training.fade_kimg": 0.064,
    "training.batch_size": 8,
    "training.steps_per_round": 2,
    "training.learning_rate": 0.002,
    "training.ema_half_life_kimg": 0.1,
    "run.tick_kimg": 0.016,
    "run.checkpoint_every_ticks": 1,
    "run.keep_checkpoints": 20,
    "run.grid_rows": 2,
    "run.grid_columns": 3,
    "run.share_programs": True,
    "run.compilation_cache": None,
}


def config_dict(changes: dict | None = None) -> ConfigDict:
    """Return the tiny config; `changes` are e.g. {"training.total_kimg": 1.0}."""
    c = config.base()
    for name, value in (_BASE | (changes or {})).items():
        section, field = name.split(".")
        c[section][field] = value
    return c


def experiment(changes: dict | None = None) -> config.Experiment:
    return config.parse(config_dict(changes))


def config_file(directory: Path, changes: dict | None = None) -> Path:
    """Write a file for `--config` that processes started by `start` can read."""
    path = directory / "config.py"
    path.write_text(
        "from tests import tiny\n\n\n"
        f"def get_config():\n    return tiny.config_dict({changes!r})\n"
    )
    return path


@contextlib.contextmanager
def quick_compilation():
    """Compile with few optimizations within the block, in about half the time."""
    name = "JAX_DISABLE_MOST_OPTIMIZATIONS"
    assert os.environ.get(name) != "1", "quick_compilation must not be nested"
    os.environ[name] = "1"  # processes of `start` inherit it
    jax.config.update(name.lower(), True)
    try:
        yield
    finally:
        del os.environ[name]
        jax.config.update(name.lower(), False)


def start(module: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Start e.g. `python -m stylegan_jax.train --config=...`."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    """Wait for a process, check its exit code, and return stdout and stderr."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
    return out, err


def start_training(directory: Path, path: Path, *more: object, **environment: str):
    arguments = (f"--config={path}", f"--workdir={directory}", *more)
    return start("stylegan_jax.train", *arguments, **environment)


def failure(process: subprocess.Popen) -> str:
    """Return the error message of a program that must fail without a traceback.

    Training exits with the status that marks a permanent failure.
    """
    trains = "stylegan_jax.train" in process.args
    _, err = finish(process, code=2 if trains else 1)
    assert "Traceback" not in err, err
    lines = err.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    return "\n".join(lines[first:])


def finished_run(tmp_path_factory) -> Path:
    """Return the directory of an uninterrupted run; treat it as read-only.

    All test processes of a session share it: the first that asks trains it, while the
    others wait. Call this within `quick_compilation`, because other programs round
    differently. `consumed.json` records the batches that the run consumed.
    """
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent  # of all workers
    directory = session / "finished"
    with open(session / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "consumed.json").exists():  # written last
            shutil.rmtree(directory, ignore_errors=True)
            with recorded_batches() as consumed, second_stage_compiled_early(directory):
                state = train.train(experiment(), directory)
            assert int(state.images_seen) == END, "a signal stopped the run"
            (directory / "consumed.json").write_text(json.dumps(consumed))
    return directory


@contextlib.contextmanager
def second_stage_compiled_early(directory: Path):
    """Delay the first tick until the program of the second stage is compiled.

    Its compilation in the background thus precedes the tick in the log of every run,
    however busy the machine is.
    """
    original = train.SampleGrid.draw_if_due

    def draw(grid, state, progress):
        original(grid, state, progress)
        deadline = time.monotonic() + 300
        while progress.images_seen and len(events(directory, "compiled")) < 2:
            assert time.monotonic() < deadline, (
                "the second stage was not compiled in the background"
            )
            time.sleep(0.05)

    train.SampleGrid.draw_if_due = draw
    try:
        yield
    finally:
        train.SampleGrid.draw_if_due = original


def copy_up_to(run: Path, images_seen: int, to: Path) -> Path:
    """Copy a run without the checkpoints after `images_seen`."""
    shutil.copytree(run, to)
    for checkpoint in (to / "checkpoints").iterdir():
        if int(checkpoint.name) > images_seen:
            shutil.rmtree(checkpoint)
    return to


@contextlib.contextmanager
def recorded_batches():
    """Yield a dict that collects the digest of every batch by its position."""
    consumed: dict[str, str] = {}
    original = train.batches

    def recording(training, source, stage, start_images, cache):
        position = start_images
        for images, labels in original(training, source, stage, start_images, cache):
            content = images.tobytes() + labels.tobytes()
            digest = hashlib.sha256(content).hexdigest()
            consumed[str(position)] = f"{list(images.shape)} {digest}"
            position += stage.batch_size
            yield images, labels

    train.batches = recording
    try:
        yield consumed
    finally:
        train.batches = original


def restored(directory: Path, images_seen: int | None = None) -> dict:
    """Load a checkpoint as path -> array; "meta" is the host's progress."""
    e = config.load(directory / "config.json")
    labels = workdir.label_size(e, workdir.load_data_info(directory))
    abstract = setup.build(e, parallel.local(), labels).abstract_state
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), abstract
    )
    checkpoints = workdir.open_checkpoints(directory, 1, print)
    templates = {"ema": abstract.ema, "training": abstract.replace(ema={})}
    found, items, meta = checkpoints.restore(templates, images_seen)
    checkpoints.close()
    assert found == meta["images_seen"] == int(items["training"].images_seen)
    flat = jax.tree_util.tree_leaves_with_path(items)
    del meta["training_seconds"]  # depends on the clock
    return {"meta": meta} | {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in flat
    }


def assert_same(actual: dict, desired: dict) -> None:
    """Assert that two results of `restored` are equal bit for bit."""
    assert actual.keys() == desired.keys()
    assert actual["meta"] == desired["meta"]
    for name, array in desired.items():
        if name != "meta":
            assert actual[name].dtype == array.dtype, name
            assert actual[name].tobytes() == array.tobytes(), name


def log(directory: Path) -> list[dict]:
    """Return the rows of `log.jsonl`."""
    lines = (directory / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def events(directory: Path, kind: str) -> list[dict]:
    """Return the rows of the log that record events of a kind."""
    return [row for row in log(directory) if row.get("event") == kind]


def ticks(directory: Path) -> list[dict]:
    """Return the rows of the log that record ticks."""
    return [row for row in log(directory) if "tick" in row]
