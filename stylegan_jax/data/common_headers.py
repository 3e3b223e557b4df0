"""Recognition of the most common files of `headers` inside TensorFlow's graphs.

Calling Python for an image takes longer than everything else for a small one, and
serializes the threads. So the graph itself recognizes what most programs write: a PNG
whose pixels follow its header, in chunks of one size, and a baseline JPEG as libjpeg
writes it. `headers` is called for all other files, and recognizes more of them.
"""

import struct

import numpy as np

from stylegan_jax.data.headers import LUMA_SAMPLING, Size
from stylegan_jax.data.images import Tensor
from stylegan_jax.runtime.tensorflow import tensorflow

_PIXELS = 33  # position of the chunks after the header of a PNG
_IDAT = int.from_bytes(b"IDAT", "big")
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_COLORS = (0, 2, 4, 6)  # color types without a palette
_ANY = None  # in a layout: a byte of any value


def is_common(encoded: Tensor, size: Size) -> Tensor:
    """Return True for the most common files whose `headers.plain_size` is `size`.

    Args:
      encoded: content of a file, string [].
      size: height and width in pixels.

    Returns:
      bool []; False for all other files, even if `headers.plain_size` is `size`.
    """
    tf = tensorflow()
    # Few operations, because each takes microseconds.
    png = _png_heads(size)
    return tf.cond(
        tf.reduce_any(tf.equal(tf.strings.substr(encoded, 0, len(png[0])), png)),
        lambda: _is_png(encoded),
        lambda: _is_jpeg(encoded, size),
    )


def _is_jpeg(encoded: Tensor, size: Size) -> Tensor:
    """Return True for a complete JPEG with the layout of YCbCr or gray."""
    tf = tensorflow()
    layouts = _jpeg(size, 3), _jpeg(size, 1)
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=max(map(len, layouts)))
    before_end = tf.maximum(tf.strings.length(encoded) - 2, 0)
    complete = tf.equal(tf.strings.substr(encoded, before_end, 2), b"\xff\xd9")
    sampling = tf.reduce_any(head[_JPEG_SAMPLING] == np.uint8(sorted(LUMA_SAMPLING)))
    color, gray = (_has_layout(head, layout) for layout in layouts)
    return complete & (color & sampling | gray)


def _has_layout(head: Tensor, layout: list[int | None]) -> Tensor:
    """Compare the first bytes of a file with those that a layout fixes."""
    tf = tensorflow()
    fixed = np.array([byte is not _ANY for byte in layout])
    values = np.uint8([byte or 0 for byte in layout])
    part = head[: len(layout)]
    return tf.reduce_all(tf.equal(part, values) | ~fixed)


def _png_heads(size: Size) -> list[bytes]:
    """Return the beginnings of PNGs of this size with 8 bits and without a palette."""
    start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", size[1], size[0])
    depth, compression, filter_ = 8, 0, 0
    return [
        start + bytes([depth, color, compression, filter_, interlace])
        for color in _PNG_COLORS
        for interlace in (0, 1)
    ]


def _is_png(encoded: Tensor) -> Tensor:
    """Return True if a PNG that begins as `_png_heads` has no other chunks than IDAT.

    All of them but the last must have one size, as encoders with a buffer write them.
    """
    tf = tensorflow()
    length = tf.strings.length(encoded)
    end = tf.maximum(length - len(_IEND), 0)
    first = tf.strings.substr(encoded, tf.minimum(_PIXELS, length), 8)
    step, is_first = _chunk(first)
    count = tf.maximum(end - _PIXELS, 0) // step
    begins = _PIXELS + step * tf.range(count)
    heads = tf.strings.substr(encoded, begins, tf.fill([count], 8))

    # Nothing may remain, or one shorter chunk.
    last = _PIXELS + step * count
    rest = end - last
    shorter = tf.strings.substr(encoded, tf.minimum(last, length), 8)
    size, is_shorter = _chunk(shorter)
    return (
        is_first
        & tf.reduce_all(tf.equal(heads, first))
        & (tf.equal(rest, 0) & (count > 0) | is_shorter & tf.equal(rest, size))
        & tf.equal(tf.strings.substr(encoded, end, len(_IEND)), _IEND)
    )


def _chunk(head: Tensor) -> tuple[Tensor, Tensor]:
    """Return the size in bytes of a PNG's chunk, and True if it holds pixels.

    Args:
      head: the first 8 bytes of the chunk, or fewer at the end of the file, string [].
        Lengths below 0 or above 1 GiB are clipped.
    """
    tf = tensorflow()
    fields = tf.io.decode_raw(head, tf.int32, little_endian=False, fixed_length=8)
    return tf.clip_by_value(fields[0], 0, 2**30) + 12, tf.equal(fields[1], _IDAT)


def _segment(marker: int, *data: int | None, fill: int = 0) -> list[int | None]:
    """Layout of a segment of a JPEG, with `fill` bytes of any value behind `data`."""
    length = 2 + len(data) + fill
    return [0xFF, marker, *struct.pack(">H", length), *data, *[_ANY] * fill]


def _jpeg(size: Size, channels: int) -> list[int | None]:
    """Layout of a JPEG of YCbCr or gray, up to its first pixels.

    It consists of the JFIF segment, a quantization table for luma and one for chroma,
    and Huffman tables that are those of Annex K, or as long.
    """
    tables = range(1 if channels == 1 else 2)
    chroma = [2, 0x11, 1, 3, 0x11, 1]  # identifier, sampling, table
    layout = [0xFF, 0xD8, *_segment(0xE0, *b"JFIF\0", fill=9)]
    for table in tables:
        layout += _segment(0xDB, table, fill=64)
    components = [1, _ANY if channels == 3 else 0x11, 0, *chroma[: 3 * (channels - 1)]]
    layout += _segment(0xC0, 8, *struct.pack(">HH", *size), channels, *components)
    for table in tables:
        layout += _segment(0xC4, table, fill=28)  # of DC coefficients
        layout += _segment(0xC4, 0x10 + table, fill=178)  # of AC coefficients
    codes = [1, 0, 2, 0x11, 3, 0x11][: 2 * channels]  # identifier, tables
    return layout + _segment(0xDA, channels, *codes, 0, 63, 0)


_JPEG_SAMPLING = _jpeg((1, 1), 3).index(8, 160) + 7
