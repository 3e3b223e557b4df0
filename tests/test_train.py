"""Whole training runs: to the end, interrupted, resumed, damaged, misused."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, parallel, train, workdir
from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from stylegan_jax.training import growth
from stylegan_jax.training.programs import ProgramCache
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    with tiny.quick_compilation():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return tiny.finished_run(tmp_path_factory)


def wait_for(process: subprocess.Popen, path: Path) -> None:
    """Returns when a file is there; the process must not have ended before."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, (
            process.communicate() if process.poll() is not None else path
        )
        time.sleep(0.01)


# To the end


def test_a_run_leaves_everything_behind(finished):
    e = tiny.experiment()
    assert config.load(finished / "config.json") == e
    data = json.loads((finished / "data.json").read_text())
    assert data["num_images"] > 1000 and len(data["classes"]) > 5
    (start,) = json.loads((finished / "environment.json").read_text())
    assert start["versions"]["jax"] == jax.__version__ and start["device_count"] == 1
    assert list((finished / "tensorboard").glob("events.*"))
    saved = sorted(int(p.name) for p in (finished / "checkpoints").iterdir())
    assert saved == list(range(16, tiny.END + 1, 16))


def test_the_log_agrees_with_the_schedule(finished):
    e = tiny.experiment()
    stages = growth.stages(e)
    assert [s.name for s in stages] == ["8x8", "16x16 fading in", "16x16"]
    assert [s.end_images for s in stages] == [tiny.BOUNDARY, 160, tiny.END]
    rows = tiny.ticks(finished)
    assert [row["images_seen"] for row in rows] == list(range(16, tiny.END + 1, 16))
    for number, row in enumerate(rows, 1):
        stage = next(s for s in stages if row["images_seen"] <= s.end_images)
        assert row["stage"] == stage.name
        assert row["tick"] == number
        assert row["kimg"] == row["images_seen"] / 1000
        assert row["step"] == row["images_seen"] // 8
        fade = stage.fade(row["images_seen"]) if stage.fading else 1.0
        assert row["progress/fade"] == fade
        assert 0 <= row["progress/data_wait"] <= 1
        assert np.isfinite(row["d_main/loss"]) and np.isfinite(row["g_main/loss"])
        assert row["d_main/skipped_total"] == row["g_main/skipped_total"] == 0
    assert [row["event"] for row in tiny.log(finished) if "event" in row] == [
        "start",
        *["compiled", "stage"] * 2,
        "stage",  # by the program of the fading one
        "end",
    ]
    begun = [row["images_seen"] for row in tiny.events(finished, "stage")]
    assert begun == [stage.start_images for stage in stages]
    assert tiny.events(finished, "end")[0]["images_seen"] == tiny.END


def test_grids_are_drawn_at_every_tick(finished):
    names = sorted(p.name for p in (finished / "images").iterdir())
    assert names == [
        *(f"fakes-000000.{n:03d}.png" for n in range(0, tiny.END + 1, 16)),
        "reals-000000.000.png",
    ]
    pictures = {}
    for name in names:
        with Image.open(finished / "images" / name) as image:
            # Two rows of three, each enlarged to 64 pixels.
            assert (image.size, image.mode) == ((192, 128), "RGB"), name
            pictures[name] = np.asarray(image)

    def blocks(name):  # how large the pixels of the network are in the grid
        image = pictures[name]
        pixels = {k: image[::k, ::k].repeat(k, 0).repeat(k, 1) for k in (4, 8)}
        return max(k for k in pixels if (pixels[k] == image).all())

    assert blocks("reals-000000.000.png") == 4  # 16x16
    assert blocks("fakes-000000.096.png") == 8  # 8x8
    assert blocks("fakes-000000.192.png") == 4
    assert len({image.tobytes() for image in pictures.values()}) == len(names)


def test_one_compilation_a_stage_and_ahead_of_it(tmp_path, monkeypatch):
    """The first grid of the first stage waits for the program of the second."""
    draw = train.Grid.draw

    def patient(grid, state, progress):
        draw(grid, state, progress)
        deadline = time.monotonic() + 300
        while progress.images_seen and len(tiny.events(tmp_path, "compiled")) < 2:
            assert time.monotonic() < deadline, "was not compiled in the background"
            time.sleep(0.05)

    monkeypatch.setattr(train.Grid, "draw", patient)
    train.train(tiny.experiment({"training.total_kimg": 0.128}), tmp_path)
    rows = tiny.log(tmp_path)
    compiled = tiny.events(tmp_path, "compiled")
    assert [row["stage"] for row in compiled] == ["8x8", "16x16 fading in"]
    second_tick = next(row for row in rows if row.get("tick") == 2)
    assert rows.index(compiled[1]) < rows.index(second_tick)
    assert second_tick["stage"] == "8x8"


@pytest.mark.slow
def test_the_stages_of_a_resolution_need_not_share_programs(finished, tmp_path):
    run = tiny.copy_up_to(finished, 160, tmp_path / "run")
    state = train.train(tiny.experiment({"run.share_programs": False}), run)
    before, after = (tiny.events(r, "compiled") for r in (finished, run))
    assert [row["stage"] for row in before] == ["8x8", "16x16 fading in"]
    assert [row["stage"] for row in after[len(before) :]] == ["16x16"]
    shared = workdir.load_generator(finished)
    chex.assert_trees_all_close(
        state.ema["params"], shared.variables["params"], rtol=0, atol=2e-3
    )


# Interrupted and resumed


@pytest.mark.slow
@pytest.mark.parametrize("at", [tiny.BOUNDARY, 96, 128])
def test_a_resumed_run_equals_an_uninterrupted_one(finished, tmp_path, capsys, at):
    """From before the stage boundary, exactly at it, and while fading in."""
    resumed = tiny.copy_up_to(finished, at, tmp_path / "run")
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(), resumed)
    assert f"resuming at {at / 1000:g} kimg" in capsys.readouterr().out
    everything = json.loads((finished / "consumed.json").read_text())
    assert consumed == {k: v for k, v in everything.items() if int(k) >= at}
    for images_seen in (at + 16, tiny.END):
        tiny.assert_same(
            tiny.restored(resumed, images_seen), tiny.restored(finished, images_seen)
        )
    pictures = [run / "images" / "fakes-000000.192.png" for run in (resumed, finished)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    environment = json.loads((resumed / "environment.json").read_text())
    assert len(environment) == 2


@pytest.mark.slow
def test_a_resumed_run_of_stylegan2_equals_an_uninterrupted_one(tmp_path):
    """In the middle of both intervals of lazy regularisation."""
    e, whole = tiny.experiment(tiny.STYLEGAN2), tmp_path / "whole"
    with tiny.recorded_batches() as everything:
        train.train(e, whole)
    assert [row["stage"] for row in tiny.ticks(whole)] == ["8x8"] * 4
    end = tiny.restored(whole)
    assert end["training/path_length_mean"] > 0
    resumed = tiny.copy_up_to(whole, 32, tmp_path / "resumed")
    with tiny.recorded_batches() as consumed:
        train.train(e, resumed)
    assert consumed == {k: v for k, v in everything.items() if int(k) >= 32}
    tiny.assert_same(tiny.restored(resumed), end)


def test_a_killed_run_resumes_to_the_same_numbers(finished, tmp_path):
    path, run = tiny.config_file(tmp_path), tmp_path / "run"
    process = tiny.start_training(run, path)
    wait_for(process, run / "checkpoints" / "48")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    newest = max(int(p.name) for p in (run / "checkpoints").glob("*[0-9]"))
    assert 48 <= newest < tiny.END
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(), run)
    everything = json.loads((finished / "consumed.json").read_text())
    assert consumed == {k: v for k, v in everything.items() if int(k) >= newest}
    for images_seen in (48, tiny.END):
        tiny.assert_same(
            tiny.restored(run, images_seen), tiny.restored(finished, images_seen)
        )
    assert not list((run / "checkpoints").glob("*tmp*"))


@pytest.mark.parametrize(
    ("number", "flags", "status"),
    [
        (signal.SIGTERM, ["--stopped_status=75"], 75),
        pytest.param(signal.SIGINT, [], 0, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_ends_the_run(tmp_path, capsys, number, flags, status):
    changes = tiny.SMALLEST | {"run.checkpoint_every_ticks": 10**6}
    endless = changes | {"training.total_kimg": 1e6}
    path, run = tiny.config_file(tmp_path, endless), tmp_path / "run"
    process = tiny.start_training(run, path, *flags)
    wait_for(process, run / "images" / "fakes-000000.032.png")
    process.send_signal(number)
    out, err = tiny.finish(process, code=status)
    assert "Traceback" not in err
    last = tiny.ticks(run)[-1]
    said = [line for line in out.splitlines() if "stopped by a signal" in line]
    assert len(said) == 1 and f" at {last['kimg']:g} kimg " in said[0]
    assert tiny.events(run, "end")[-1]["images_seen"] == last["images_seen"]
    # Nothing else had been saved, and nothing of what was trained is lost.
    assert [p.name for p in (run / "checkpoints").iterdir()] == [
        str(last["images_seen"])
    ]

    total_kimg = last["kimg"] + 0.032
    state = train.train(
        tiny.experiment(changes | {"training.total_kimg": total_kimg}), run
    )
    assert f"resuming at {last['kimg']:g} kimg" in capsys.readouterr().out
    start = tiny.events(run, "start")[-1]["images_seen"]
    assert start == last["images_seen"]
    assert int(state.images_seen) == 8 * int(state.step) == start + 32


def test_a_run_ends_when_its_time_is_up_and_goes_on(tmp_path, capsys):
    changes = tiny.SMALLEST | {"training.total_kimg": 0.064}
    short = changes | {"run.time_limit_minutes": 1e-6}
    for seen in (16, 32):  # a start trains a round at least
        assert int(train.train(tiny.experiment(short), tmp_path).images_seen) == seen
        kimg = seen / 1000
        assert f"stopped by its time limit at {kimg:g} kimg" in capsys.readouterr().out
    assert int(train.train(tiny.experiment(changes), tmp_path).images_seen) == 64
    out = capsys.readouterr().out
    assert "resuming at 0.032 kimg" in out and "finished at 0.064 kimg" in out


@pytest.mark.slow
def test_more_training_equals_training_on(finished, tmp_path):
    run = tmp_path / "run"
    train.train(tiny.experiment({"training.total_kimg": 0.128}), run)
    tiny.assert_same(tiny.restored(run), tiny.restored(finished, 128))
    # What only concerns the run may change with it.
    changes = {"run.keep_checkpoints": 2, "run.grid_columns": 2}
    train.train(tiny.experiment(changes), run)
    tiny.assert_same(tiny.restored(run), tiny.restored(finished))
    assert len(list((run / "checkpoints").iterdir())) == 2
    before = tiny.restored(run)
    compiled = len(tiny.events(run, "compiled"))
    train.train(tiny.experiment(changes), run)  # nothing is left to do
    tiny.assert_same(tiny.restored(run), before)
    assert len(tiny.events(run, "compiled")) == compiled


def test_a_truncated_checkpoint_is_passed_over(finished, tmp_path, capsys):
    run = tiny.copy_up_to(finished, 176, tmp_path / "run")
    files = [p for p in (run / "checkpoints/176/training").rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    train.train(tiny.experiment(), run)
    out = capsys.readouterr().out
    assert "checkpoint 176 in" in out and "is damaged and not used" in out
    assert "trying the older one, 160" in out and "resuming at 0.16 kimg" in out
    tiny.assert_same(tiny.restored(run), tiny.restored(finished))
    assert (run / "checkpoints" / "176.damaged").exists()


def test_a_run_of_another_experiment_is_refused(finished):
    before = (finished / "config.json").read_bytes()
    with pytest.raises(ValueError) as raised:
        train.train(
            tiny.experiment({"training.r1_gamma": 1.0, "model.channel_max": 8}),
            finished,
        )
    message = str(raised.value)
    assert f"{finished} holds a run with other settings" in message
    assert "training.r1_gamma: 10.0 there, 1.0 now" in message
    assert "model.channel_max: 16 there, 8 now" in message
    assert len(message.splitlines()) == 4  # and no other differences
    assert "choose another --workdir" in message
    assert (finished / "config.json").read_bytes() == before


def test_a_run_on_other_data_is_refused(finished, tmp_path):
    e = tiny.experiment()
    data = workdir.load_data_info(finished)
    other = workdir.DataInfo("folder x", 7, data.classes, "another fingerprint")
    with pytest.raises(ValueError, match="folder x with 7 images now"):
        workdir.check(finished, e, other)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="checkpoints but no config.json"):
        workdir.check(tmp_path, e, data)


# Not finite


class Step:
    """The compiled updates of a 4x4 run and one batch for them."""

    def __init__(self):
        self.e = e = tiny.experiment(tiny.SMALLEST)
        self.devices = devices = parallel.data_parallel()
        (self.stage,) = growth.stages(e)
        networks = train.models.build(e.model, e.data, 0)
        self.phases = train.recipes.build(e, *networks)
        optimizer = train.step.build_optimizers(e)
        names = [phase.name for phase in self.phases]
        self.create = devices.jit_replicated(
            lambda: train.train_state.create(*networks, optimizer, names, e.run.seed)
        )
        replicated = devices.replicated
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
            jax.eval_shape(self.create),
        )
        cache = ProgramCache(e, self.phases, devices, abstract, 0, lambda *_: None)
        self.programs = cache.get(self.stage)
        cache.close()
        pixels = np.random.RandomState(0).randint(0, 256, (8, 4, 4, 3), np.uint8)
        self.batch = devices.put_batch((pixels, np.zeros((8, 0), np.float32)))

    def __call__(self, phase, state, rate=0.002):
        """The state after the phase, and its scalars; `state` may be used again."""
        scalars = self.devices.replicate((np.float32(1), np.float32(rate)))
        copy = jax.tree.map(jnp.copy, state)
        return self.programs[phase](copy, *self.batch, *scalars)


@pytest.fixture(scope="module")
def step():
    return Step()


def poisoned(state, network):
    """NaN in one parameter of a network."""
    leaves, structure = jax.tree.flatten(state.params[network])
    leaves[0] = leaves[0].at[(0,) * leaves[0].ndim].set(jnp.nan)
    return state.replace(
        params=state.params | {network: jax.tree.unflatten(structure, leaves)}
    )


def assert_equal_trees(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y), a, b)


def moved(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any((np.asarray(x) != np.asarray(y)).any() for x, y in pairs)


def test_an_update_that_is_not_finite_is_skipped(step):
    before = step("d_main", step.create())[0]
    bad = poisoned(before, "discriminator")
    after, scalars = step("g_main", bad)
    assert np.isnan(scalars["g_main/loss"])
    for field in ("params", "optimizer", "w_avg", "ema"):
        assert_equal_trees(getattr(after, field), getattr(bad, field))
    assert (int(after.skipped["g_main"]), int(after.skipped_total["g_main"])) == (1, 1)
    assert (int(after.skipped["d_main"]), int(after.step)) == (0, 1)
    again, _ = step("g_main", after)
    assert int(again.skipped["g_main"]) == int(again.skipped_total["g_main"]) == 2
    assert int(again.images_seen) == 16  # the clock goes on

    mended = again.replace(params=before.params)
    fine, scalars = step("g_main", mended)
    assert np.isfinite(scalars["g_main/loss"])
    assert (int(fine.skipped["g_main"]), int(fine.skipped_total["g_main"])) == (0, 2)
    assert moved(fine.params["generator"], mended.params["generator"])
    assert moved(fine.optimizer["generator"], mended.optimizer["generator"])


def test_the_discriminator_s_update_is_skipped_too(step):
    bad = poisoned(step.create(), "generator")
    after, _ = step("d_main", bad)
    assert_equal_trees(after.params, bad.params)
    assert_equal_trees(after.optimizer, bad.optimizer)
    assert_equal_trees(after.w_avg, bad.w_avg)
    assert int(after.skipped["d_main"]) == 1 and int(after.skipped["g_main"]) == 0


def test_a_diverged_run_stops_and_keeps_its_last_good_checkpoint(finished, tmp_path):
    """16x16 has a learning rate that throws the parameters out of range."""
    changes = {
        "training.learning_rate_by_resolution": ((16, 1e30),),
        "training.nonfinite_limit": 4,
        "run.keep_checkpoints": 1,
    }
    path, run = tiny.config_file(tmp_path, changes), tmp_path / "run"
    message = tiny.failure(tiny.start_training(run, path))
    last = tiny.ticks(run)[-1]
    assert last["stage"] == "16x16 fading in"
    skipped = {n: last[f"{n}_main/skipped_total"] for n in "dg"}
    assert max(skipped.values()) >= 4
    phase = next(n for n in "dg" if skipped[n] >= 4)
    assert f"error: phase {phase}_main had {skipped[phase]:.0f} updates" in message
    assert f"step {last['step']} ({last['kimg']:g} kimg)" in message
    assert "the last checkpoint is 112" in message
    # Only the checkpoint before the first skipped update is left, and it is good.
    assert [p.name for p in (run / "checkpoints").iterdir()] == [str(tiny.BOUNDARY)]
    tiny.assert_same(tiny.restored(run), tiny.restored(finished, tiny.BOUNDARY))


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A run with one checkpoint, on a disk of its own for checkpoints."""
    run = tmp_path / "run"
    train.train(tiny.experiment(tiny.SMALLEST | {"training.total_kimg": 0.016}), run)
    kept = shutil.move(run / "checkpoints", tmp_path / "kept")
    (run / "checkpoints").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", run / "checkpoints"]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        shutil.copytree(kept, run / "checkpoints", dirs_exist_ok=True)
        yield run
    finally:
        subprocess.run(["umount", "--lazy", run / "checkpoints"], check=True)


def test_a_full_disk_does_not_end_the_run_before_its_time(small_disk, tmp_path, capsys):
    run, filler = small_disk, small_disk / "checkpoints" / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    changes = tiny.SMALLEST | {"training.total_kimg": 0.08}
    path = tiny.config_file(tmp_path, changes)
    out, err = tiny.finish(tiny.start_training(run, path), code=1)
    warnings = [line for line in out.splitlines() if line.startswith("WARNING: ")]
    # Those of ticks 2 to 4, each told by the one after it; the last one is fatal.
    assert len(warnings) == len(tiny.events(run, "checkpoint_failed")) == 3
    for line, step in zip(warnings, (32, 48, 64), strict=True):
        assert f"saving step {step} to {run / 'checkpoints'} failed: the disk" in line
        assert "The last complete checkpoint is step 16, unharmed." in line
        assert line.endswith("The run goes on and tries again.")
    (message,) = err.splitlines()  # and no tracebacks round it
    assert message.startswith("error: ")
    assert "saving step 80 to" in message and "the disk is full" in message
    assert [row["tick"] for row in tiny.ticks(run)] == [1, 2, 3, 4, 5]

    filler.unlink()
    state = train.train(tiny.experiment(changes), run)
    assert "resuming at 0.016 kimg" in capsys.readouterr().out
    assert int(state.images_seen) == tiny.restored(run)["meta"]["images_seen"] == 80


def test_a_mended_disk_gets_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    """A save that failed unnoticed does not keep the last one from being made."""
    wait, failures = Checkpoints.wait, [CheckpointError("saving step 16 failed")]

    def fail_once(checkpoints):
        wait(checkpoints)
        if failures and checkpoints.directory.exists():
            raise failures.pop()

    monkeypatch.setattr(Checkpoints, "wait", fail_once)
    changes = tiny.SMALLEST | {"training.total_kimg": 0.032}
    train.train(tiny.experiment(changes), tmp_path)
    assert not failures
    assert "WARNING: saving step 16 failed. The run goes on" in capsys.readouterr().out
    assert tiny.restored(tmp_path)["meta"]["images_seen"] == 32


# Misused


def write_images(folder, names, size=8):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(number).randint(0, 256, (size, size, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.resolution": 48},
            r"`data.resolution` \(=48\) must be a power of two from 4 to 1024",
        ),
        (
            {"data.resolution": 2048},
            r"`data.resolution` \(=2048\) must be a power of two from 4 to 1024",
        ),
        (
            {"data.resolution": 128},
            r"`data.resolution` \(=128\) must be at most 64 for the built-in images",
        ),
        (
            {"data.source": "folder"},
            "`data.path` must name the images when",
        ),
        (
            {"data.source": "folder", "data.path": "/nowhere"},
            r"`data.path` \(='/nowhere'\) is not a directory",
        ),
    ],
)
def test_unusable_settings_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train.train(tiny.experiment(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_key_names_the_closest_one(tmp_path):
    raw = config.to_dict(tiny.experiment())
    raw["training"]["batchsize"] = raw["training"].pop("batch_size")
    with pytest.raises(config.ConfigError, match="did you mean `training.batch_size`"):
        config.parse(raw)
    message = tiny.failure(
        tiny.start_training(
            tmp_path / "run",
            tiny.config_file(tmp_path),
            "--config.training.total_kimgs=3",
        )
    )
    assert "unknown config key `training.total_kimgs`" in message
    assert "did you mean `training.total_kimg`" in message
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    path = tiny.config_file(tmp_path, {"training.batch_size": 36})
    devices = {"JAX_NUM_CPU_DEVICES": "8"}
    message = tiny.failure(tiny.start_training(tmp_path / "run", path, **devices))
    assert message == (
        "error: `training.batch_size at 8x8` (=36) must be divisible by the 8 devices; "
        "try 32 or 40."
    )
    assert not (tmp_path / "run").exists()


def test_unusable_folders_are_refused(tmp_path):
    changes = tiny.SMALLEST | {"data.source": "folder", "data.path": str(tmp_path)}
    with pytest.raises(ValueError, match="holds no images; files with the endings"):
        train.train(tiny.experiment(changes), tmp_path / "run")
    write_images(tmp_path, ["a.png", "b.png"], size=4)
    with pytest.raises(ValueError, match="`data.conditional` is set, but .* no class"):
        changes |= {"data.conditional": True}
        train.train(tiny.experiment(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_image_that_breaks_off_is_named(tmp_path):
    """Its header is good, so that only training comes upon it."""
    images = tmp_path / "images"
    write_images(images, [f"{i:03d}.png" for i in range(64)], size=4)
    write_images(images, ["broken.png"], size=4)
    content = (images / "broken.png").read_bytes()
    (images / "broken.png").write_bytes(content[: len(content) // 2 + 8])
    changes = {
        "data.source": "folder",
        "data.path": str(images),
        "run.grid_rows": 1,
        "run.grid_columns": 1,
    }
    path = tiny.config_file(tmp_path, tiny.SMALLEST | changes)
    message = tiny.failure(tiny.start_training(tmp_path / "run", path))
    assert f"error: {images / 'broken.png'} " in message
    assert "repair, replace or remove it" in message


# Other kinds of images


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_images_of_other_channels(tmp_path, channels, mode):
    changes = {"data.channels": channels, "training.total_kimg": 0.016}
    state = train.train(tiny.experiment(tiny.SMALLEST | changes), tmp_path)
    assert int(state.images_seen) == 16
    for name in ("reals-000000.000.png", "fakes-000000.016.png"):
        with Image.open(tmp_path / "images" / name) as image:
            assert (image.size, image.mode) == ((192, 128), mode)
    trained = workdir.load_generator(tmp_path)
    assert trained.generator.image_channels == channels
    (row,) = tiny.ticks(tmp_path)
    assert row["g_main/skipped_total"] == 0
