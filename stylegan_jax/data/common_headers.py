"""Recognition inside TensorFlow's graphs of the commonest files of `headers`.

A call to Python for every image would cost more than the rest of a small one, and all
threads would wait for each other there. So the graph itself recognizes what most
programs write: a PNG whose pixels follow its header, in chunks of one size, and a
baseline JPEG as libjpeg writes it. `headers` recognizes more, for which it is called.
"""

import struct

import numpy as np

from stylegan_jax.data.headers import LUMA_SAMPLING, Size
from stylegan_jax.data.images import Tensor
from stylegan_jax.runtime.tensorflow import tensorflow

_PIXELS = 33  # position of the chunks after the header of a PNG
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_ANY = None  # in a layout: a byte of any value


def is_common(encoded: Tensor, size: Size) -> Tensor:
    """Return True for some of the files whose `headers.plain_size` is `size`.

    Args:
      encoded: content of a file, string [].
      size: height and width in pixels.

    Returns:
      bool []; False for all other files, and for the others of this size.
    """
    tf = tensorflow()
    png, *jpegs = layouts = [_png(size), _jpeg(size, 3), _jpeg(size, 1)]
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=max(map(len, layouts)))
    before_end = tf.maximum(tf.strings.length(encoded) - 2, 0)
    complete = tf.equal(tf.strings.substr(encoded, before_end, 2), b"\xff\xd9")
    sampling = tf.reduce_any(head[_JPEG_SAMPLING] == np.uint8(sorted(LUMA_SAMPLING)))
    is_jpeg = complete & (
        _has_layout(head, jpegs[0]) & sampling | _has_layout(head, jpegs[1])
    )
    return tf.cond(
        _has_layout(head, png),
        lambda: _has_only_pixels(encoded),
        lambda: is_jpeg,
    )


def _has_layout(head: Tensor, layout: list[int | None]) -> Tensor:
    """Compare the first bytes of a file with those that a layout fixes."""
    tf = tensorflow()
    fixed = np.array([byte is not _ANY for byte in layout])
    values = np.uint8([byte or 0 for byte in layout])
    part = head[: len(layout)]
    return tf.reduce_all(tf.equal(part, values) | ~fixed)


def _png(size: Size) -> list[int | None]:
    """Layout of a PNG of 8 bits without a palette, up to its first pixels."""
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", size[1], size[0])
    depth, color, interlace, checksum = 8, _ANY, _ANY, [_ANY] * 4
    length = [_ANY] * 4
    return [*header, depth, color, 0, 0, interlace, *checksum, *length, *b"IDAT"]


def _has_only_pixels(encoded: Tensor) -> Tensor:
    """Return True if a PNG with the layout `_png` has no other chunks than IDAT.

    All of them but the last must have one size, as encoders with a buffer write them.
    """
    tf = tensorflow()
    data = tf.io.decode_raw(encoded, tf.uint8)
    color, interlace = data[25], data[28]
    first = data[_PIXELS : _PIXELS + 8]  # its length, big-endian, and "IDAT"
    weights = tf.constant([2**24, 2**16, 2**8, 1], tf.int64)
    step = tf.reduce_sum(tf.cast(first[:4], tf.int64) * weights) + 12
    end = tf.size(data, tf.int64) - len(_IEND)
    count = tf.maximum(end - _PIXELS, 0) // step
    byte = tf.range(8, dtype=tf.int64)
    begins = _PIXELS + step * tf.range(count)
    equal = tf.reduce_all(tf.gather(data, begins[:, None] + byte) == first)

    # What remains is nothing, or one shorter chunk.
    last = _PIXELS + step * count
    rest = end - last
    shorter = tf.gather(data, last + byte)
    length = tf.reduce_sum(tf.cast(shorter[:4], tf.int64) * weights)
    is_pixels = tf.equal(length, rest - 12) & tf.reduce_all(shorter[4:] == first[4:])
    return (
        tf.reduce_any(color == np.uint8([0, 2, 4, 6]))
        & (interlace <= 1)
        & (tf.equal(rest, 0) & (count > 0) | is_pixels)
        & equal
        & tf.reduce_all(data[-len(_IEND) :] == np.frombuffer(_IEND, np.uint8))
    )


def _segment(marker: int, *data: int | None, fill: int = 0) -> list[int | None]:
    """Layout of a segment of a JPEG, with `fill` bytes of any value behind `data`."""
    length = 2 + len(data) + fill
    return [0xFF, marker, *struct.pack(">H", length), *data, *[_ANY] * fill]


def _jpeg(size: Size, channels: int) -> list[int | None]:
    """Layout of a JPEG of YCbCr or gray, up to its first pixels.

    It has JFIF's segment, a table of quantization for luma and one for chroma, and the
    tables of Huffman codes that are Annex K's or as long.
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
