"""Videos of every format, decoded again: frames, sizes, times, colors and alpha."""

import builtins
import importlib.util
import resource
import subprocess
import sys
from pathlib import Path

import chex
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.sampling import video

av = pytest.importorskip("av", reason="needs the extra `video`")

COUNT, FPS = 12, 25
ALPHA = [ending for ending, kind in video.FORMATS.items() if kind.alpha]
# Largest mean error of a frame: of the 8 bits of YUV and its quarter of chroma, of a
# palette of 256 colors, and none.
TOLERANCE = {".mp4": 4, ".webm": 4, ".gif": 4, ".webp": 0}


def moving(count=COUNT, size=(48, 64), channels=3):
    """Return smooth frames [N,H,W,C] that change everywhere."""
    y, x = np.mgrid[: size[0], : size[1]] / 10
    phases = 0.2 * np.arange(count)[:, None, None]
    waves = [np.sin(x * (0.5 + 0.2 * c) + y * 0.3 + phases + c) for c in range(3)]
    waves = waves[:channels]
    if channels == 4:  # a half that is opaque, and one with a ramp
        ramp = np.clip(2 - 2 * x / x.max(), 0, 1) * 2 - 1
        waves.append(np.broadcast_to(ramp, waves[0].shape))
    return np.uint8(np.clip(127.5 + 127.5 * np.stack(waves, -1), 0, 255))


def write(path, frames, fps=FPS, quality=None):
    size, channels = frames.shape[1:3], frames.shape[3]
    with video.create(path, size, channels, fps=fps, quality=quality) as writer:
        for frame in frames:
            writer.add(frame)
            assert not path.exists()  # it is written beside its place
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


def read(path):
    """Return the frames [N,H,W,4] and the seconds that they last."""
    if path.suffix in (".gif", ".webp"):
        frames, seconds = [], 0
        with Image.open(path) as image:
            for i in range(image.n_frames):
                image.seek(i)
                image.load()
                frames.append(np.asarray(image.convert("RGBA")))
                seconds += image.info["duration"] / 1000
            assert image.info["loop"] == 0  # without end
        return np.stack(frames), seconds
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        # FFmpeg's own decoder of VP9 leaves out alpha.
        name = "libvpx-vp9" if path.suffix == ".webm" else "h264"
        decoder = av.CodecContext.create(name, "r")
        decoder.extradata = stream.codec_context.extradata
        pictures = [
            picture
            for packet in file.demux(stream)
            for picture in decoder.decode(packet if packet.size else None)
        ]
        assert all(p.colorspace == p.color_range == 1 for p in pictures)  # BT.709
        frames = np.stack([p.to_ndarray(format="rgba") for p in pictures])
        return frames, len(frames) / float(stream.average_rate)


def error(decoded, frames):
    return np.abs(decoded.astype(int) - frames).mean((1, 2, 3)).max()


@pytest.mark.parametrize("ending", video.FORMATS)
def test_every_format_can_be_read_again(tmp_path, ending):
    frames = moving()
    decoded, seconds = read(write(tmp_path / f"a{ending}", frames))
    chex.assert_shape(decoded, (COUNT, 48, 64, 4))
    assert error(decoded[..., :3], frames) <= TOLERANCE[ending]
    assert (decoded[..., 3] == 255).all()
    assert seconds == pytest.approx(COUNT / FPS, abs=1e-6)


@pytest.mark.parametrize("ending", video.FORMATS)
def test_alpha(tmp_path, ending):
    frames = moving(channels=4)
    decoded, _ = read(write(tmp_path / f"a{ending}", frames))
    alpha = frames[..., 3:]
    if ending == ".mp4":  # white shows through
        blended = 255 + (frames[..., :3].astype(float) - 255) * alpha / 255
        assert error(decoded[..., :3], blended) <= TOLERANCE[ending]
        return
    if ending == ".gif":
        alpha = np.where(alpha < 128, 0, 255)
    assert error(decoded[..., 3:], alpha) <= (1 if ending == ".webm" else 0)
    visible = (alpha > 0) * decoded[..., :3].astype(int)
    assert (
        error(visible, (alpha > 0) * frames[..., :3].astype(int)) <= (TOLERANCE[ending])
    )


@pytest.mark.parametrize("ending", video.FORMATS)
def test_still_parts_stay(tmp_path, ending):
    """GIF and WebP store only the rectangle that changes."""
    frames = np.repeat(moving(1), 6, axis=0)
    for i in range(1, 5):  # the last frame is like the one before
        frames[i:, 5 + i : 12, 9 + 2 * i : 30] = 40 * i
    decoded, seconds = read(write(tmp_path / f"a{ending}", frames))
    assert len(decoded) == 6 and seconds == pytest.approx(6 / FPS, abs=1e-6)
    assert error(decoded[..., :3], frames) <= 6 * bool(TOLERANCE[ending])


@pytest.mark.parametrize("ending", video.FORMATS)
@pytest.mark.parametrize("size", [(4, 4), (6, 10), (9, 7)])
def test_small_gray_and_odd_frames(tmp_path, ending, size):
    if ending == ".mp4" and size[0] % 2:
        with pytest.raises(ValueError, match=r"7x9 .* even; use a --scale of 2"):
            write(tmp_path / "a.mp4", moving(size=size))
        return
    frames = moving(size=size, channels=1)
    decoded, _ = read(write(tmp_path / f"a{ending}", frames))
    chex.assert_shape(decoded, (COUNT, *size, 4))
    assert error(decoded[..., :3], frames) <= TOLERANCE[ending]


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_the_last_frames_are_as_good_as_the_others(tmp_path, ending):
    """Otherwise, a loop would jump."""
    shapes = np.random.default_rng(0).normal(size=(4, 12, 16, 3)).repeat(4, 1)
    shapes = 127.5 + 127.5 * np.clip(shapes.repeat(4, 2), -1, 1)
    t = np.arange(60)[:, None, None, None] / 15
    start = t.astype(int).reshape(-1)
    frames = shapes[start] + (shapes[(start + 1) % 4] - shapes[start]) * (t % 1)
    decoded, _ = read(write(tmp_path / f"a{ending}", frames.astype(np.uint8)))
    errors = np.abs(decoded[..., :3] - frames).mean((1, 2, 3))
    assert errors[-3:].max() <= 1.3 * np.median(errors)


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_durations_round_without_drift(tmp_path, ending):
    _, seconds = read(write(tmp_path / f"a{ending}", moving(45, (4, 4)), fps=30))
    assert seconds == pytest.approx(1.5, abs=1e-6)  # 3 or 4 hundredths each in a GIF


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".webp"])
def test_lower_quality_makes_smaller_files(tmp_path, ending):
    for quality in (20, 90):
        (tmp_path / str(quality)).mkdir()
    small, large = (
        write(tmp_path / str(q) / f"a{ending}", moving(), quality=q) for q in (20, 90)
    )
    assert small.stat().st_size < 0.8 * large.stat().st_size


def test_the_index_of_an_mp4_comes_first(tmp_path):
    content = write(tmp_path / "a.mp4", moving()).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("ending", video.FORMATS)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_video_leaves_the_previous_one(tmp_path, ending, interruption):
    path = tmp_path / f"a{ending}"
    path.write_text("before")
    with (
        pytest.raises(interruption),
        video.create(path, (48, 64), 3, fps=FPS) as writer,
    ):
        writer.add(moving()[0])
        raise interruption
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


@pytest.fixture
def file_limit():
    """Files may have 3,000 bytes; what is beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ending", video.FORMATS)
def test_a_failed_write_names_the_file(tmp_path, file_limit, ending):
    path = tmp_path / f"a{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 48, 64, 3), np.uint8)
    with pytest.raises(OSError, match="File too large") as raised:
        write(path, noise)
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    frames = moving(1)

    def message(name, **options):
        with pytest.raises(ValueError) as raised:
            write(tmp_path / name, frames, **options)
        assert list(tmp_path.iterdir()) == []
        return str(raised.value)

    assert message("a.mp4", fps=0) == "fps (=0) of a .mp4 must be from 1 to 1000"
    assert message("a.gif", fps=60) == (
        "fps (=60) of a .gif must be from 1 to 50; write another format for more"
    )
    assert "quality (=101) must be from 0 to 100" in message("a.webp", quality=101)
    assert "the file is a .gif" in message("a.gif", quality=50)
    with pytest.raises(ValueError, match="20000x64 .* a .webp are at most 16,383"):
        video.check_format(tmp_path / "a.webp", (64, 20000), 30)


def test_a_missing_encoder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("a.mp4", "b.WEBM"):
        with pytest.raises(ValueError) as raised:
            write(tmp_path / name, moving(1))
        assert str(raised.value) == (
            f"{name} needs PyAV, which is not installed: run `python -m pip install "
            "-e '.[video]'`, or write .gif or .webp, which need nothing else"
        )
    original = builtins.__import__

    def no_av(name, *more):
        assert name != "av"
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", no_av)
    for name in ("gif", "webp"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / f"a.{name}", moving(1))


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from stylegan_jax.sampling import video

rng = np.random.default_rng(0)
with video.create(Path(sys.argv[1]), (64, 64), 3, fps=30) as writer:
    for i in range(2000):
        writer.add(rng.integers(0, 256, (64, 64, 3), np.uint8))
        if i == 199:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", video.FORMATS)
def test_the_memory_does_not_grow_with_the_video(tmp_path, ending):
    """The frames have 25 MB; incompressible ones also tell a list of their codes."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / f"a{ending}"],
        cwd=Path(video.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    early, late = map(int, done.stdout.split())
    assert late <= 1.1 * early
    assert late - early < 8_000  # kibibytes
