"""Videos and animated images, written frame by frame at constant memory."""

import contextlib
import fractions
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import chex
import numpy as np

from stylegan_jax.runtime.image_io import rgb_on_white
from stylegan_jax.runtime.messages import sides
from stylegan_jax.runtime.storage import naming, open_atomically
from stylegan_jax.sampling.animated_images import GIF_MAX_FPS, GifWriter, WebpWriter

QUALITY = 80  # default of .mp4 and .webm
BT709 = 1  # FFmpeg's number of the matrix, the primaries and the transfer curve
LIMITED_RANGE = 1  # FFmpeg's number: luma from 16 to 235


class VideoWriter(Protocol):
    """A file that is being written."""

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,C] uint8."""

    def finish(self) -> None:
        """Write what remains after the last frame."""


class Format(NamedTuple):
    """A format of videos.

    Attributes:
      writer: class of its VideoWriter.
      alpha: True if it shows transparency; else images are blended over white.
      max_side: maximum height and width in pixels.
      max_fps: maximum frames per second.
    """

    writer: Any
    alpha: bool
    max_side: int
    max_fps: int


class H264Writer:
    """H.264 in MP4 with 4:2:0 chroma, which all browsers and phones play."""

    codec, container = "libx264", "mp4"
    container_options = {"movflags": "+faststart"}  # plays while it is downloaded

    def __init__(
        self,
        file: BinaryIO,
        size: tuple[int, int],
        channels: int,
        fps: int,
        quality: int | None,
    ):
        """Start the encoder; see `create` for the arguments."""
        import av

        self._file = _Unbuffered(file)
        self._format = "rgba" if channels == 4 else "rgb24"
        self._count, self._frame_seconds = 0, fractions.Fraction(1, fps)
        self._video = av.open(
            self._file,
            "w",
            format=self.container,
            container_options=self.container_options,
        )
        quality = QUALITY if quality is None else quality
        stream = self._video.add_stream(
            self.codec, rate=fps, options=self._options(quality)
        )
        stream.height, stream.width = size
        stream.pix_fmt = self._pixels = "yuva420p" if channels == 4 else "yuv420p"
        context = stream.codec_context
        # Without these, players guess the color space from the size.
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        self._stream = stream

    def _options(self, quality: int) -> dict[str, str]:
        # x264's "mbtree" saves on frames that few others refer to, such as the last
        # ones, so that a loop would jump.
        return {
            "crf": str(round(10 + 0.4 * (100 - quality))),
            "x264-params": "mbtree=0",
        }

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,C]."""
        import av

        picture = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame), format=self._format
        ).reformat(format=self._pixels, dst_colorspace="ITU709", dst_color_range="MPEG")
        picture.pts = self._count
        picture.time_base = self._frame_seconds
        self._count += 1
        self._write(picture)

    def finish(self) -> None:
        """Write the frames that the encoder has buffered, and the index."""
        self._write(None)
        with self._file.reporting_errors():
            self._video.close()

    def _write(self, picture: Any) -> None:
        with self._file.reporting_errors():
            for packet in self._stream.encode(picture):
                self._video.mux(packet)


class Vp9Writer(H264Writer):
    """VP9 in WebM, with alpha for images of four channels."""

    codec, container = "libvpx-vp9", "webm"
    container_options: dict[str, str] = {}

    def _options(self, quality: int) -> dict[str, str]:
        return {
            "crf": str(round(10 + 0.5 * (100 - quality))),
            "b": "0",  # constant quality
            "cpu-used": "3",
            "row-mt": "1",
            "auto-alt-ref": "0",  # does not support alpha
        }


FORMATS = {
    ".mp4": Format(H264Writer, False, 16384, 1000),
    ".webm": Format(Vp9Writer, True, 16384, 1000),
    ".gif": Format(GifWriter, True, 65535, GIF_MAX_FPS),
    ".webp": Format(WebpWriter, True, 16383, 1000),
}


def check_installed(path: Path) -> None:
    """Raise ValueError if the encoder of a file is not installed."""
    writer = FORMATS[path.suffix.lower()].writer
    if issubclass(writer, H264Writer) and importlib.util.find_spec("av") is None:
        raise ValueError(
            f"{path.name} needs PyAV, which is not installed: run `python -m pip "
            "install -e '.[video]'`, or write .gif or .webp, which need nothing else"
        )
    if issubclass(writer, H264Writer):
        import av

        if writer.codec not in av.codecs_available:
            raise ValueError(
                f"{path.name} needs {writer.codec}, which this build of PyAV lacks; "
                "install a wheel from PyPI, or write another format"
            )


@contextlib.contextmanager
def create(
    path: Path,
    size: tuple[int, int],
    channels: int,
    *,
    fps: int,
    quality: int | None = None,
) -> Iterator[VideoWriter]:
    """Write a video, whose file appears when the block ends without an error.

        with create(Path("walk.mp4"), (64, 64), 3, fps=30) as video:
            for frame in frames:
                video.add(frame)

    Args:
      path: the file, whose ending is one of FORMATS.
      size: height and width of the frames.
      channels: C of the frames: 1 for gray, 3 for RGB or 4 for RGBA.
      fps: frames per second.
      quality: quality from 0 to 100, which is lossless in .webp; None for QUALITY in
        .mp4 and .webm, and for 100 in .webp. A .gif has none.

    Yields:
      The writer, which takes frames [H,W,C] uint8.

    Raises:
      ValueError: the format cannot hold such frames, or its encoder is not installed.
      OSError: the file cannot be written.
    """
    check_installed(path)
    check_format(path, size, fps, quality)
    kind = FORMATS[path.suffix.lower()]
    kept = 4 if channels == 4 and kind.alpha else 3
    with open_atomically(path) as file:
        writer = kind.writer(file, size, kept, fps, quality)
        yield _Converted(writer, (*size, channels), kept)
        writer.finish()


def check_format(
    path: Path, size: tuple[int, int], fps: int, quality: int | None = None
) -> None:
    """Raise ValueError if a format cannot hold a video; see `create`."""
    ending = path.suffix.lower()
    kind = FORMATS[ending]
    shown = f"frames of {sides(size)} (width x height)"
    if ending == ".mp4" and any(side % 2 for side in size):
        raise ValueError(
            f"{shown} cannot be an .mp4, whose sides must be even; use a --scale of 2, "
            "or write .webm, .webp or .gif"
        )
    if max(size) > kind.max_side:
        raise ValueError(
            f"{shown} are too large: the sides of a {ending} are at most "
            f"{kind.max_side:,}; use fewer cells or a smaller --scale"
        )
    if not 1 <= fps <= kind.max_fps:
        raise ValueError(
            f"fps (={fps}) of a {ending} must be from 1 to {kind.max_fps}"
            + ("; write another format for more" if ending == ".gif" else "")
        )
    if quality is not None and (ending == ".gif" or not 0 <= quality <= 100):
        raise ValueError(
            f"quality (={quality}) must be from 0 to 100, and is for .mp4, .webm and "
            f".webp only; the file is a {ending}"
        )


class _Converted:
    """A writer that takes frames with the channels of the network."""

    def __init__(self, writer: VideoWriter, shape: tuple[int, ...], kept: int):
        self._writer, self._shape, self._kept = writer, shape, kept

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,C] uint8."""
        chex.assert_shape(frame, self._shape)
        chex.assert_type(frame, np.uint8)
        self._writer.add(frame if self._kept == 4 else rgb_on_white(frame))


class _Unbuffered:
    """An unbuffered file for PyAV, which remembers its errors.

    FFmpeg replaces errors with its own, and reopens the file by its name to move the
    index of an MP4 to the front.
    """

    def __init__(self, file: BinaryIO):
        self.name = str(file.name)
        self._file, self._error = file, None

    def write(self, content: bytes) -> int:
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            self._error = error
            raise
        return len(content)

    def seek(self, offset: int, origin: int = 0) -> int:
        return self._file.seek(offset, origin)

    def tell(self) -> int:
        return self._file.tell()

    @contextlib.contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Raise the error of a failed write, not that of FFmpeg."""
        try:
            yield
        except OSError as error:
            if self._error is not None:
                raise naming(self.name, self._error) from error
            raise
        if self._error is not None:
            raise naming(self.name, self._error)
