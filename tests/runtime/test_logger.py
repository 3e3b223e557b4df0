"""Logs of a run can be read back, whatever happened to the run."""

import errno
import io
import json
import math
import struct
import time

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.runtime import image_io, logger, storage
from stylegan_jax.runtime.logger import RunLogger


class Terminal(io.StringIO):
    def isatty(self):
        return True


def rows(workdir):
    return [json.loads(x) for x in (workdir / "log.jsonl").read_text().splitlines()]


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def tensorboard_events(workdir):
    """Return (step, tag, scalar or encoded image) of all event files."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16
            for v in event.summary.value:
                image = v.image.encoded_image_string
                found.append((event.step, v.tag, image or v.simple_value))
    return found


def test_scalars_and_events(tmp_path):
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    values = {"loss/g": np.float32(1.5), "loss/d": jnp.float32(-2), "fid": 3}
    run_logger.scalars(12_345, values, stage="16x16")
    run_logger.event("saved", step=7, shape=(1, 2), where=tmp_path)
    run_logger.close()
    run_logger.close()
    first, second = rows(tmp_path)
    assert abs(first.pop("time") - second.pop("time")) < 60
    assert first == {
        "images_seen": 12_345,
        "kimg": 12.345,
        "stage": "16x16",
        "loss/g": 1.5,
        "loss/d": -2.0,
        "fid": 3.0,
    }
    assert second == {
        "event": "saved",
        "step": 7,
        "shape": [1, 2],
        "where": str(tmp_path),
    }
    assert tensorboard_events(tmp_path) == [
        (12_345, "loss/g", 1.5),
        (12_345, "loss/d", -2.0),
        (12_345, "fid", 3.0),
    ]


def test_non_finite_values_are_valid_json(tmp_path):
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    run_logger.scalars(0, {"a": math.nan, "b": np.inf, "c": -math.inf})
    run_logger.event("x", nested={"list": [np.float32("nan"), 1.0]})
    first, second = rows(tmp_path)
    assert [first[k] for k in "abc"] == ["nan", "inf", "-inf"]
    assert second["nested"] == {"list": ["nan", 1.0]}
    storage.write_json(tmp_path / "x.json", {"a": np.float64("inf")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": "inf"}


@pytest.mark.parametrize("cut", ['{"event": "a"}\n', '{"event": "a"}\n{"eve'])
def test_resuming_appends_on_a_new_line(tmp_path, cut):
    (tmp_path / "log.jsonl").write_text(cut)
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    run_logger.event("b")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()  # before close
    assert lines[:-1] == cut.splitlines()
    assert json.loads(lines[-1])["event"] == "b"


def test_disabled_does_nothing(tmp_path):
    stream = Terminal()
    run_logger = RunLogger(tmp_path / "run", enabled=False, stream=stream)
    run_logger.progress("a")
    run_logger.line("a")
    run_logger.scalars(0, {"a": 1})
    run_logger.event("a")
    run_logger.images("a", 0, noise(1, 4, 4, 3), 1)
    run_logger.close()
    assert stream.getvalue() == "" and not list(tmp_path.iterdir())


def test_live_line_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    now = [100.0]
    monkeypatch.setattr(logger.time, "monotonic", lambda: now[0])
    stream = Terminal()
    run_logger = RunLogger(tmp_path, enabled=True, stream=stream)
    for _ in range(50):  # 1 s in all
        run_logger.progress("x" * 30)
        now[0] += 0.02
    assert 4 <= stream.getvalue().count("\r" + "x" * 19 + "\x1b[K") <= 6
    assert "x" * 20 not in stream.getvalue() and "\n" not in stream.getvalue()
    stream.truncate(0), stream.seek(0)
    run_logger.line("done")
    run_logger.line("more")
    assert stream.getvalue() == "\r\x1b[Kdone\nmore\n"
    run_logger.close()


def test_no_live_line_without_a_terminal(tmp_path):
    stream = io.StringIO()
    run_logger = RunLogger(tmp_path, enabled=True, stream=stream)
    run_logger.progress("a")
    run_logger.line("b")
    run_logger.close()
    assert stream.getvalue() == "b\n"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images(tmp_path, channels):
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    images = noise(3, 4, 4, channels)
    run_logger.images("fakes", 1_500, images, columns=3, scale_to=10)
    run_logger.close()
    (path,) = (tmp_path / "images").iterdir()
    assert path.name == "fakes-000001.500.png"
    saved = np.asarray(Image.open(path)).reshape(12, 36, channels)
    grid = image_io.image_grid(images, 3)
    np.testing.assert_array_equal(saved[1::3, 1::3], grid)
    np.testing.assert_array_equal(saved, np.kron(grid, np.ones((3, 3, 1), np.uint8)))
    ((step, tag, encoded),) = tensorboard_events(tmp_path)
    assert (step, tag) == (1_500, "fakes")
    shown = np.asarray(Image.open(io.BytesIO(encoded))).astype(float)
    if channels == 4:
        alpha = saved[:, :, 3:] / 255
        np.testing.assert_allclose(
            shown, saved[:, :, :3] * alpha + 255 * (1 - alpha), atol=0.51
        )
    else:
        np.testing.assert_array_equal(shown, np.broadcast_to(saved, (12, 36, 3)))


def test_format_duration():
    expected = {
        0: "0s",
        59.9: "59s",
        60: "1m 00s",
        190: "3m 10s",
        7500: "2h 05m",
        86399: "23h 59m",
        97200: "1d 03h",
        math.inf: "unknown",
        math.nan: "unknown",
    }
    assert {s: logger.format_duration(s) for s in expected} == expected


def test_a_full_disk_does_not_end_the_run(tmp_path, monkeypatch):
    stream = io.StringIO()
    run_logger = logger.RunLogger(tmp_path, enabled=True, stream=stream)

    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(logger, "save_png", full)
    run_logger.images("fakes", 1000, np.zeros((1, 4, 4, 3), np.uint8), 1)
    run_logger.wait_for_images()
    assert "fakes-000001.000.png could not be written" in stream.getvalue()
    monkeypatch.undo()
    run_logger.images("fakes", 2000, np.zeros((1, 4, 4, 3), np.uint8), 1)
    run_logger.close()
    assert (tmp_path / "images" / "fakes-000002.000.png").exists()


def test_a_slow_encoder_does_not_keep_the_program_waiting(tmp_path, monkeypatch):
    """It waits for under 5% of a tick, and all images are written in the end."""
    tick_seconds, encoding_seconds = 0.4, 0.3
    real = logger.save_png

    def slow(*arguments, **options):
        time.sleep(encoding_seconds)
        real(*arguments, **options)

    monkeypatch.setattr(logger, "save_png", slow)
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    shares = []
    for tick in range(5):
        start = time.monotonic()
        run_logger.images("fakes", tick, lambda: noise(2, 8, 8, 3), columns=2)
        waited = time.monotonic() - start
        time.sleep(tick_seconds)  # training
        shares.append(waited / (time.monotonic() - start))
    run_logger.close()
    assert np.median(shares) < 0.05
    assert len(list((tmp_path / "images").iterdir())) == 5


def test_an_error_of_the_encoder_is_raised(tmp_path):
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    run_logger.images("a", 0, lambda: noise(2, 8, 8), columns=2)  # not four axes
    with pytest.raises(ValueError, match="must be \\[N,H,W,C\\]"):
        run_logger.wait_for_images()
    run_logger.images("b", 0, noise(2, 8, 8, 3), columns=2)
    run_logger.close()
    assert [path.name[0] for path in (tmp_path / "images").iterdir()] == ["b"]


def test_large_images_are_smaller_in_tensorboard(tmp_path):
    run_logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    images = noise(2, 1000, 1500, 1)
    run_logger.images("fakes", 0, images, columns=2)
    run_logger.close()
    ((_, _, encoded),) = tensorboard_events(tmp_path)
    shown = np.asarray(Image.open(io.BytesIO(encoded)))
    assert shown.shape == (334, 1000, 3)
    grid = image_io.image_grid(images, 2)
    mean = grid[:3, :3].mean()
    np.testing.assert_allclose(shown[0, 0], mean, atol=0.51)
