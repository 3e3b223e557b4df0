"""Animated GIF and WebP, written frame by frame.

Pillow encodes the frames; its own `save_all` would keep all of them in memory. Only the
rectangle of a frame that differs from the previous frame is stored.

Reference: CompuServe 1990, "Graphics Interchange Format, version 89a"; Google, "WebP
Container Specification" (RFC 9649).
"""

import io
import struct
from typing import BinaryIO

import numpy as np

GIF_MAX_FPS = 50  # browsers show frames of less than 0.02 s at a tenth of the speed
OPAQUE = 128  # minimum alpha of the pixels that a GIF shows
COLORS = 256  # number of colors in a frame of a GIF
WEBP_MAX_BYTES = 2**32 - 2  # the size in the header has 32 bits


class GifWriter:
    """An animated GIF that loops forever.

    Each frame has its own palette. Alpha is either on or off.
    """

    def __init__(
        self, file: BinaryIO, size: tuple[int, int], channels: int, fps: int, _: None
    ):
        """Write the header; see `video.create` for the arguments."""
        self._file, self._fps, self._transparent = file, fps, channels == 4
        self._count, self._previous = 0, None
        height, width = size
        file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0))
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", 0, 0))

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,C]."""
        from PIL import GifImagePlugin, Image  # imported by programs that write images

        if self._transparent:
            # A transparent pixel cannot replace another one, so each frame is complete,
            # and erased after it is shown.
            top, left, cut = 0, 0, frame
        else:
            top, left, cut = _changed(self._previous, frame, 1)
        options = (
            {"disposal": 2, "transparency": COLORS - 1} if self._transparent else {}
        )
        image = Image.fromarray(np.ascontiguousarray(cut[..., :3]))
        image = image.quantize(COLORS - self._transparent, dither=Image.Dither.NONE)
        if self._transparent:
            palette = image.getpalette()[: 3 * (COLORS - 1)]
            index = np.where(cut[..., 3] < OPAQUE, COLORS - 1, np.asarray(image))
            image = Image.fromarray(index.astype(np.uint8), "P")
            image.putpalette(palette + [0] * (3 * COLORS - len(palette)))
        centiseconds = _due(self._count + 1, self._fps, 100) - _due(
            self._count, self._fps, 100
        )
        for part in GifImagePlugin.getdata(
            image,
            (left, top),
            duration=10 * centiseconds,
            include_color_table=True,
            **options,
        ):
            self._file.write(part)
        self._count, self._previous = self._count + 1, frame

    def finish(self) -> None:
        """Write the end of the file."""
        self._file.write(b";")


class WebpWriter:
    """An animated WebP that loops forever."""

    def __init__(
        self,
        file: BinaryIO,
        size: tuple[int, int],
        channels: int,
        fps: int,
        quality: int | None,
    ):
        """Write the header; see `video.create` for the arguments."""
        self._file, self._fps = file, fps
        self._count, self._previous = 0, None
        lossless = quality in (None, 100)
        self._options = (
            {"lossless": True, "quality": 50} if lossless else {"quality": quality}
        )
        file.write(b"RIFF\0\0\0\0WEBP")  # `finish` writes the size
        flags = 0b10 | (0b10000 if channels == 4 else 0)  # animation, alpha
        height, width = size
        file.write(
            _chunk(
                b"VP8X",
                struct.pack("<I", flags) + _uint24(width - 1) + _uint24(height - 1),
            )
        )
        file.write(_chunk(b"ANIM", struct.pack("<IH", 0, 0)))

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,C]."""
        from PIL import Image  # imported by programs that write images

        top, left, cut = _changed(self._previous, frame, 2)
        still = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(cut)).save(
            still, format="WEBP", **self._options
        )
        duration = _due(self._count + 1, self._fps, 1000) - _due(
            self._count, self._fps, 1000
        )
        height, width = cut.shape[:2]
        fields = (left // 2, top // 2, width - 1, height - 1, duration)
        replace = b"\x02"  # replace the previous pixels instead of blending with them
        content = b"".join(map(_uint24, fields)) + replace
        content += _image_chunks(still.getvalue())
        self._file.write(_chunk(b"ANMF", content))
        self._count, self._previous = self._count + 1, frame

    def finish(self) -> None:
        """Write the size into the header."""
        size = self._file.tell()
        if size > WEBP_MAX_BYTES:
            raise ValueError(
                f"the .webp has {size:,} bytes; the format allows 4 GiB, so write .mp4 "
                "or .webm"
            )
        self._file.seek(4)
        self._file.write(struct.pack("<I", size - 8))


def _due(frame: int, fps: int, units_per_second: int) -> int:
    """Return the time at which a frame is due, whose rounding does not accumulate."""
    return round(frame * units_per_second / fps)


def _changed(
    previous: np.ndarray | None, frame: np.ndarray, multiple: int
) -> tuple[int, int, np.ndarray]:
    """Return the top, left and pixels of the rectangle that changed.

    Args:
      previous: the previous frame [H,W,C]; None for the first one.
      frame: [H,W,C].
      multiple: top and left are multiples of it.
    """
    if previous is None:
        return 0, 0, frame
    different = np.any(previous != frame, axis=-1)
    rows, columns = (np.flatnonzero(different.any(axis)) for axis in (1, 0))
    if not len(rows):  # a frame must have at least one pixel
        return 0, 0, frame[:1, :1]
    top, left = (int(lines[0]) // multiple * multiple for lines in (rows, columns))
    return top, left, frame[top : rows[-1] + 1, left : columns[-1] + 1]


def _uint24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _chunk(name: bytes, content: bytes) -> bytes:
    padding = b"\0" * (len(content) % 2)
    return name + struct.pack("<I", len(content)) + content + padding


def _image_chunks(webp: bytes) -> bytes:
    """Return the chunks of a still WebP that belong in a frame of an animated one."""
    kept, at = b"", 12  # after RIFF, size and WEBP
    while at < len(webp):
        name = webp[at : at + 4]
        (size,) = struct.unpack_from("<I", webp, at + 4)
        end = at + 8 + size + size % 2
        if name in (b"ALPH", b"VP8 ", b"VP8L"):
            kept += webp[at:end]
        at = end
    return kept
