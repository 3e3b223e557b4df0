"""A run that is small enough for tests: how to make, start, keep and look at it.

8x8 for 112 images, 16x16 fading in up to 160, then up to 192 by the same programs; 16
images are a round, a tick and a checkpoint. Programs come out of the persistent cache
that conftest.py sets up; changes of lengths, rates and cadences need no new ones.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from stylegan_jax import config, train, workdir
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup

ROOT = Path(__file__).resolve().parent.parent
BOUNDARY, END = 112, 192  # images: where 16x16 begins, and where the run ends
SMALLEST = {"data.resolution": 4, "training.initial_resolution": 4}
# One stage of eight steps; the regularisers run at every second and third.
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
    """The tiny experiment; `changes` are e.g. {"training.total_kimg": 1.0}."""
    c = config.base()
    for name, value in (_BASE | (changes or {})).items():
        section, field = name.split(".")
        c[section][field] = value
    return c


def experiment(changes: dict | None = None) -> config.Experiment:
    return config.parse(config_dict(changes))


def config_file(directory: Path, changes: dict | None = None) -> Path:
    """A file for `--config`; works in processes started by `start`."""
    path = directory / "config.py"
    path.write_text(
        "from tests import tiny\n\n\n"
        f"def get_config():\n    return tiny.config_dict({changes!r})\n"
    )
    return path


@contextlib.contextmanager
def quick_compilation():
    """XLA with few optimizations: half the time; the programs mean the same."""
    name = "JAX_DISABLE_MOST_OPTIMIZATIONS"
    assert os.environ.get(name) != "1", "does not nest"
    os.environ[name] = "1"  # for `start`: the same programs, to the last bit
    jax.config.update(name.lower(), True)
    try:
        yield
    finally:
        del os.environ[name]
        jax.config.update(name.lower(), False)


def start(module: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Starts e.g. `python -m stylegan_jax.train --config=...`."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    """Waits, checks the exit code, and returns what was printed."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
    return out, err


def start_training(directory: Path, path: Path, *more: object, **environment: str):
    arguments = (f"--config={path}", f"--workdir={directory}", *more)
    return start("stylegan_jax.train", *arguments, **environment)


def failure(process: subprocess.Popen) -> str:
    """The error message of a program that must say one and no more.

    Training says by its status that the same command would fail again.
    """
    trains = "stylegan_jax.train" in process.args
    _, err = finish(process, code=2 if trains else 1)
    assert "Traceback" not in err, err
    lines = err.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    return "\n".join(lines[first:])


_finished: list[Path] = []


def finished_run(tmp_path_factory) -> Path:
    """The directory of an uninterrupted run, trained once; not to be changed.

    To be called within `quick_compilation`, for other programs round otherwise.
    `consumed.json` in it says which batches the run was given.
    """
    if not _finished:
        directory = tmp_path_factory.mktemp("finished") / "run"
        with recorded_batches() as consumed:
            train.train(experiment(), directory)
        (directory / "consumed.json").write_text(json.dumps(consumed))
        _finished.append(directory)
    return _finished[0]


def copy_up_to(run: Path, images_seen: int, to: Path) -> Path:
    """The run as it was at a checkpoint: later ones are missing."""
    shutil.copytree(run, to)
    for checkpoint in (to / "checkpoints").iterdir():
        if int(checkpoint.name) > images_seen:
            shutil.rmtree(checkpoint)
    return to


@contextlib.contextmanager
def recorded_batches():
    """Yields a dict that is told the digest of every batch by its position."""
    consumed: dict[str, str] = {}
    original = train.batches

    def recording(training, source, stage, start_images):
        position = start_images
        for images, labels in original(training, source, stage, start_images):
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
    """Everything in a checkpoint: path -> array; "meta" is the host's progress."""
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
    del meta["training_seconds"]  # the only thing that the clock has a part in
    return {"meta": meta} | {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in flat
    }


def assert_same(actual: dict, desired: dict) -> None:
    """Two results of `restored` are equal bit for bit."""
    assert actual.keys() == desired.keys()
    assert actual["meta"] == desired["meta"]
    for name, array in desired.items():
        if name != "meta":
            assert actual[name].dtype == array.dtype, name
            assert actual[name].tobytes() == array.tobytes(), name


def log(directory: Path) -> list[dict]:
    """The rows of `log.jsonl`."""
    lines = (directory / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def events(directory: Path, kind: str) -> list[dict]:
    return [row for row in log(directory) if row.get("event") == kind]


def ticks(directory: Path) -> list[dict]:
    return [row for row in log(directory) if "tick" in row]
