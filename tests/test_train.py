"""Whole training runs: completed, interrupted, resumed, damaged, diverged."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train, workdir
from stylegan_jax.training import schedule
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return tiny.finished_run(tmp_path_factory)


def wait_for(process: subprocess.Popen, path: Path) -> None:
    """Wait until a file exists; fail if the process ends first."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, (
            process.communicate() if process.poll() is not None else path
        )
        time.sleep(0.01)


# Completed runs


def test_run_writes_its_description_logs_and_checkpoints(finished):
    e = tiny.experiment({"data.source": "builtin"})  # which `auto` stands for
    assert config.load(finished / "config.json") == e
    data = json.loads((finished / "data.json").read_text())
    assert data["num_images"] > 1000 and len(data["classes"]) > 5
    (start,) = json.loads((finished / "environment.json").read_text())
    assert start["versions"]["jax"] == jax.__version__ and start["device_count"] == 1
    assert list((finished / "tensorboard").glob("events.*"))
    saved = sorted(int(p.name) for p in (finished / "checkpoints").iterdir())
    assert saved == list(range(16, tiny.END + 1, 16))


def test_log_agrees_with_the_schedule(finished):
    e = tiny.experiment()
    stages = schedule.build_stages(e)
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
        "stage",  # uses the program of the fading stage
        "end",
    ]
    stage_starts = [row["images_seen"] for row in tiny.events(finished, "stage")]
    assert stage_starts == [stage.start_images for stage in stages]
    assert tiny.events(finished, "end")[0]["images_seen"] == tiny.END


def test_sample_grids_are_saved_at_every_tick(finished):
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

    def pixel_size(name):  # side of an image pixel in the grid
        image = pictures[name]
        pixels = {k: image[::k, ::k].repeat(k, 0).repeat(k, 1) for k in (4, 8)}
        return max(k for k in pixels if (pixels[k] == image).all())

    assert pixel_size("reals-000000.000.png") == 4  # 16x16
    assert pixel_size("fakes-000000.096.png") == 8  # 8x8
    assert pixel_size("fakes-000000.192.png") == 4
    assert len({image.tobytes() for image in pictures.values()}) == len(names)


@pytest.mark.slow
def test_grids_have_their_own_interval(finished, tmp_path):
    """Ticks 10 to 12 remain: the 11th has a grid, and the end has one."""
    run = tiny.copy_up_to(finished, 144, tmp_path / "run")
    shutil.rmtree(run / "images")
    train.train(tiny.experiment({"run.grid_every_ticks": 11}), run)
    names = sorted(p.name for p in (run / "images").iterdir())
    assert names == ["fakes-000000.176.png", "fakes-000000.192.png"]


def test_several_processes_share_the_compilation_cache(tmp_path):
    default = config.Run().compilation_cache
    assert train.cache_directory(default, tmp_path, 1) == default
    shared = str(tmp_path / "compilation_cache")
    assert train.cache_directory(default, tmp_path, 2) == shared
    assert train.cache_directory("/shared/xla", tmp_path, 2) == "/shared/xla"
    assert train.cache_directory(None, tmp_path, 2) is None


def test_each_stage_compiles_once_and_in_advance(finished):
    """The first tick of this run waits until the second stage is compiled."""
    rows = tiny.log(finished)
    compiled = tiny.events(finished, "compiled")
    assert [row["stage"] for row in compiled] == ["8x8", "16x16 fading in"]
    second_tick = next(row for row in rows if row.get("tick") == 2)
    assert rows.index(compiled[1]) < rows.index(second_tick)
    assert second_tick["stage"] == "8x8"


@pytest.mark.slow
def test_stages_of_a_resolution_with_separate_programs(finished, tmp_path):
    run = tiny.copy_up_to(finished, 160, tmp_path / "run")
    state = train.train(tiny.experiment({"run.share_programs": False}), run)
    before, after = (tiny.events(r, "compiled") for r in (finished, run))
    assert [row["stage"] for row in before] == ["8x8", "16x16 fading in"]
    assert [row["stage"] for row in after[len(before) :]] == ["16x16"]
    shared = workdir.load_generator(finished)
    chex.assert_trees_all_close(
        state.ema["params"], shared.variables["params"], rtol=0, atol=2e-3
    )


# Interrupted and resumed runs


@pytest.mark.slow
@pytest.mark.parametrize("at", [tiny.BOUNDARY, 96, 128])
def test_resumed_run_equals_an_uninterrupted_one(finished, tmp_path, capsys, at):
    """Resume before the stage boundary, exactly at it, and while fading in."""
    resumed = tiny.copy_up_to(finished, at, tmp_path / "run")
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(), resumed)
    assert f"resuming at {at / 1000:g} kimg" in capsys.readouterr().out
    uninterrupted = json.loads((finished / "consumed.json").read_text())
    assert consumed == {k: v for k, v in uninterrupted.items() if int(k) >= at}
    for images_seen in (at + 16, tiny.END):
        tiny.assert_same(
            tiny.restored(resumed, images_seen), tiny.restored(finished, images_seen)
        )
    pictures = [run / "images" / "fakes-000000.192.png" for run in (resumed, finished)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    environment = json.loads((resumed / "environment.json").read_text())
    assert len(environment) == 2


@pytest.mark.slow
@pytest.mark.parametrize("control", ["ADAPTIVE", "REMEDIES"])
def test_resumed_stylegan2_run_equals_an_uninterrupted_one(tmp_path, control):
    """Resume between two runs of each lazy phase, and between two adjustments."""
    changes = tiny.STYLEGAN2 | getattr(tiny, control)
    e, whole = tiny.experiment(changes), tmp_path / "whole"
    with tiny.recorded_batches() as uninterrupted:
        train.train(e, whole)
    assert [row["stage"] for row in tiny.ticks(whole)] == ["8x8"] * 4
    end = tiny.restored(whole)
    assert end["training/path_length_mean"] > 0
    assert end["training/augment_probability"] > 0 and end["training/real_signs"][1] > 0
    if control == "REMEDIES":
        # Eight steps, each of two rounds.
        weight = end["training/score_means"][2]
        np.testing.assert_allclose(weight, 1 - 0.99**8, rtol=1e-5)
        vectors = [v for name, v in end.items() if "/spectral/" in name]
        assert len(vectors) > 5 and all(np.ptp(v) > 0 for v in vectors[:-1])
        averages = [name for name in end if "/power_ema/" in name]
        assert len({name.split("/")[2] for name in averages}) == 2
        snapshots = [int(path.stem) for path in (whole / "power_ema").iterdir()]
        assert sorted(snapshots) == [32, 64]
    resumed = tiny.copy_up_to(whole, 32, tmp_path / "resumed")
    with tiny.recorded_batches() as consumed:
        train.train(e, resumed)
    assert consumed == {k: v for k, v in uninterrupted.items() if int(k) >= 32}
    tiny.assert_same(tiny.restored(resumed), end)


def test_killed_run_resumes_to_the_same_state(finished, tmp_path):
    """Kill it at 8x8, and compare it while it fades in 16x16."""
    end = 128
    shorter = {"training.total_kimg": end / 1000}
    path, run = tiny.config_file(tmp_path, shorter), tmp_path / "run"
    process = tiny.start_training(run, path)
    wait_for(process, run / "checkpoints" / "48")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    newest = max(int(p.name) for p in (run / "checkpoints").glob("*[0-9]"))
    assert 48 <= newest < end
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(shorter), run)
    uninterrupted = json.loads((finished / "consumed.json").read_text())
    assert consumed == {
        k: v for k, v in uninterrupted.items() if newest <= int(k) < end
    }
    for images_seen in (48, end):
        tiny.assert_same(
            tiny.restored(run, images_seen), tiny.restored(finished, images_seen)
        )
    assert not list((run / "checkpoints").glob("*tmp*"))


@pytest.mark.parametrize(
    ("number", "flags", "status"),
    [(signal.SIGTERM, ["--stopped_status=75"], 75), (signal.SIGINT, [], 0)],
)
@pytest.mark.slow
def test_signal_saves_and_ends_the_run(tmp_path, capsys, number, flags, status):
    changes = tiny.SMALLEST | {"run.checkpoint_every_ticks": 10**6}
    very_long = changes | {"training.total_kimg": 1e6}
    path, run = tiny.config_file(tmp_path, very_long), tmp_path / "run"
    process = tiny.start_training(run, path, *flags)
    wait_for(process, run / "images" / "fakes-000000.032.png")
    process.send_signal(number)
    out, err = tiny.finish(process, code=status)
    assert "Traceback" not in err
    last = tiny.ticks(run)[-1]
    said = [line for line in out.splitlines() if "stopped by a signal" in line]
    assert len(said) == 1 and f" at {last['kimg']:g} kimg " in said[0]
    assert tiny.events(run, "end")[-1]["images_seen"] == last["images_seen"]
    # This is the only checkpoint, and it contains all that was trained.
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


def test_run_stops_at_its_time_limit_and_resumes(tmp_path, capsys):
    changes = tiny.SMALLEST | {"training.total_kimg": 0.064}
    limited = tiny.experiment(changes | {"run.time_limit_minutes": 1e-6})
    assert int(train.train(limited, tmp_path).images_seen) == 16
    assert "stopped by its time limit at 0.016 kimg" in capsys.readouterr().out
    assert int(train.train(limited, tmp_path).images_seen) == 32  # at least one round
    out = capsys.readouterr().out
    assert "resuming at 0.016 kimg" in out
    assert "stopped by its time limit at 0.032 kimg" in out


@pytest.mark.slow
def test_extended_run_equals_a_longer_one(finished, tmp_path):
    run = tmp_path / "run"
    train.train(tiny.experiment({"training.total_kimg": 0.128}), run)
    tiny.assert_same(tiny.restored(run), tiny.restored(finished, 128))
    # Settings of the section `run` may change.
    changes = {"run.keep_checkpoints": 2, "run.grid_columns": 2}
    train.train(tiny.experiment(changes), run)
    tiny.assert_same(tiny.restored(run), tiny.restored(finished))
    assert len(list((run / "checkpoints").iterdir())) == 2
    before = tiny.restored(run)
    compiled = len(tiny.events(run, "compiled"))
    train.train(tiny.experiment(changes), run)  # the run is complete
    tiny.assert_same(tiny.restored(run), before)
    assert len(tiny.events(run, "compiled")) == compiled


@pytest.mark.slow
def test_truncated_checkpoint_is_skipped(finished, tmp_path, capsys):
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


def test_resuming_with_other_settings_is_rejected(finished):
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
    assert len(message.splitlines()) == 4  # no other differences are listed
    assert "choose another --workdir" in message
    assert (finished / "config.json").read_bytes() == before


@pytest.mark.slow
def test_a_resumed_run_keeps_the_precision_of_its_config(finished, tmp_path, capsys):
    """It trains on as if the precision had not been changed."""
    run = tiny.copy_up_to(finished, 176, tmp_path / "run")
    changes = {
        "model.dtype": "bfloat16",
        "model.low_precision_resolutions": 1,
        "model.float32_precision": "default",
    }
    before = (run / "config.json").read_bytes()
    train.train(tiny.experiment(changes), run)
    out = capsys.readouterr().out
    assert out.startswith(
        "without `data.path`, the built-in emoji are used (`data.sour"
    )
    assert json.loads(before)["data"]["source"] == "builtin"  # the choice of "auto"
    assert (
        "keeping `model.dtype` 'float32' from config.json instead of 'bfloat16'" in out
    )
    assert out.count("keeping `model.") == len(changes)
    assert (run / "config.json").read_bytes() == before
    tiny.assert_same(tiny.restored(run), tiny.restored(finished))


def test_resuming_with_other_data_is_rejected(finished, tmp_path):
    e = tiny.experiment()
    data = workdir.load_data_info(finished)
    other = workdir.DataInfo("folder x", 7, data.classes, "another fingerprint")
    with pytest.raises(ValueError, match="folder x with 7 images now") as error:
        workdir.check_resumable(finished, e, other)
    assert "data.json" not in str(
        error.value
    )  # the number of images differs: no remedy
    other = workdir.DataInfo("folder x", data.num_images, data.classes, "new")
    with pytest.raises(ValueError, match='set "fingerprint" to "new" in .*data.json'):
        workdir.check_resumable(finished, e, other)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="checkpoints but no config.json"):
        workdir.check_resumable(tmp_path, e, data)


# Diverged runs


@pytest.mark.slow
def test_diverged_run_stops_and_keeps_the_last_good_checkpoint(finished, tmp_path):
    """The learning rate of 16x16 makes the parameters overflow."""
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
    streak = f"had {skipped[phase]:.0f} consecutive updates"
    assert f"error: phase {phase}_main {streak}" in message
    assert f"step {last['step']} ({last['kimg']:g} kimg)" in message
    assert "the last checkpoint is 112" in message
    # Only the good checkpoint before the first skipped update is kept.
    assert [p.name for p in (run / "checkpoints").iterdir()] == [str(tiny.BOUNDARY)]
    tiny.assert_same(tiny.restored(run), tiny.restored(finished, tiny.BOUNDARY))


# Other kinds of images


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_gray_and_rgba_images(tmp_path, channels, mode):
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
