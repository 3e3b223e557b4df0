"""Recognition of PNG and JPEG files that TensorFlow decodes exactly as Pillow does.

Training decodes these files with TensorFlow, which needs no Python for it, and all
other files with Pillow. A file sent to Pillow unnecessarily costs time; one sent to
TensorFlow by mistake gives different pixels. So a file is recognized only if every part
of its header is known to have no effect on either decoder.
"""

import re
import struct
import zlib
from collections.abc import Iterable

Size = tuple[int, int]  # height and width in pixels
ORIENTATION = 0x0112  # EXIF tag
# Keys of Pillow's `Image.info` whose data may have an orientation.
EXIF_KEYS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
MAX_CHUNK_BYTES = 2**16  # of PNG metadata; Pillow rejects any that inflates far more

# PNG
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_COLOR_TYPES = (0, 2, 4, 6)  # gray and RGB, without and with alpha: no palette
# Chunks that no decoder applies to the pixels, and their lengths; None for any.
_METADATA = {
    **{b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7},
    **dict.fromkeys([b"sBIT", b"bKGD", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt"]),
}
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Keywords of text chunks that Pillow takes for properties of the image.
_TEXTS_WITH_EFFECT = {key.encode() for key in EXIF_KEYS} | {
    b"interlace",
    b"transparency",
}

# JPEG: baseline, extended sequential and progressive Huffman coding
_SOF0, _SOF1, _SOF2 = 0xC0, 0xC1, 0xC2
_DHT, _EOI, _SOS, _DQT, _DRI, _COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE
_APP = range(0xE0, 0xF0)
_WITHOUT_EFFECT = {_DHT, _DQT, _DRI, _COM, *_APP}
# Sampling factors of luma, horizontal and vertical in one byte, if chroma has 1x1.
LUMA_SAMPLING = {0x11, 0x21, 0x12, 0x22, 0x41, 0x14}
# A marker in entropy-coded data that is neither an escape nor a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def plain_size(content: bytes) -> Size | None:
    """Return height and width of a file that TensorFlow decodes as Pillow does.

    These are upright PNGs of 8-bit gray or RGB, with or without alpha, and upright
    JPEGs of gray or YCbCr.

    Returns:
      None for any other file, and for one with irregularities or damage in its header.
    """
    try:
        if content.startswith(_PNG):
            return _plain_png(content)
        if content.startswith(b"\xff\xd8"):
            return _plain_jpeg(content)
    except (struct.error, IndexError, ValueError):  # something is too short
        pass
    return None


def _plain_png(content: bytes) -> Size | None:
    width, height, depth, color, *methods = struct.unpack_from(">IIBBBBB", content, 16)
    if depth != 8 or color not in _PNG_COLOR_TYPES or methods[:2] != [0, 0]:
        return None
    if not height or not width:
        return None
    position, previous, pixels_ended = 33, b"IHDR", False
    while True:
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + length + 12
        pixels_ended |= previous == b"IDAT" != kind
        if kind == b"IDAT":
            if pixels_ended:
                return None
        elif kind == b"IEND":
            complete = pixels_ended and end == len(content) and not length
            return (height, width) if complete else None
        elif not _is_metadata(kind, content[position + 4 : end]):
            return None
        position, previous = end, kind


def _is_metadata(kind: bytes, chunk: bytes) -> bool:
    """Return True for an intact PNG chunk that changes neither pixels nor orientation.

    Args:
      kind: type of the chunk.
      chunk: its type, data and checksum.
    """
    data = chunk[4:-4]
    if kind not in _METADATA or len(data) > MAX_CHUNK_BYTES:
        return False
    if _METADATA[kind] not in (None, len(data)):
        return False
    name, _, content = data.partition(b"\0")
    if kind in _TEXTS and name in _TEXTS_WITH_EFFECT:
        return False
    if kind in (b"iCCP", b"zTXt") and content[:1] != b"\0":  # compression method
        return False
    if kind == b"eXIf" and not _is_upright([data], []):
        return False
    return zlib.crc32(chunk[:-4]) == struct.unpack(">I", chunk[-4:])[0]


def _plain_jpeg(content: bytes) -> Size | None:
    if not content.endswith(bytes([0xFF, _EOI])):
        return None
    exif, xmp, frame, is_jfif, adobe = [], [], None, False, None
    position = 2
    while True:
        prefix, marker, length = struct.unpack_from(">BBH", content, position)
        data = content[position + 4 : position + 2 + length]
        position += 2 + length
        if prefix != 0xFF:
            return None
        if marker in (_SOF0, _SOF1, _SOF2) and frame is None:
            frame = marker, data
        elif marker == _SOS:
            break
        elif marker not in _WITHOUT_EFFECT or data.startswith(b"MPF\0"):
            return None
        elif marker == _APP[0] and data.startswith(b"JFIF\0") and len(data) >= 14:
            is_jfif = True
        elif marker == _APP[1] and data.startswith(b"Exif\0\0"):
            exif.append(data[6:])
        elif marker == _APP[1] and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp.append(data)
        elif marker == _APP[14] and data.startswith(b"Adobe"):
            adobe = data[11]
    if frame is None or not _is_upright(exif, xmp):
        return None
    depth, height, width, components = struct.unpack_from(">BHHB", frame[1])
    identifiers, sampling = frame[1][6::3], frame[1][7::3]
    if depth != 8 or len(frame[1]) != 6 + 3 * components:
        return None
    if not height or not width:
        return None
    if components == 3:
        is_ycbcr = adobe == 1 or adobe is None and (is_jfif or identifiers == b"\1\2\3")
        if not is_ycbcr or sampling[0] not in LUMA_SAMPLING:
            return None
        if sampling[1:] != b"\x11\x11":
            return None
    elif components != 1 or sampling not in (b"\x11", b"\x22"):
        return None
    if frame[0] == _SOF2:
        start = position - 2 - length
        return (height, width) if _all_scans(content, start, identifiers) else None
    return (height, width) if data[0] == components else None  # all in one scan


def _all_scans(content: bytes, position: int, identifiers: bytes) -> bool:
    """Return True if progressive scans give all bits of all coefficients.

    If some are missing, decoders smooth the blocks, each in its own way.

    Args:
      content: the file.
      position: position of the marker of the first scan.
      identifiers: identifiers of the components.
    """
    missing_bits = {number: bytearray(b"\xff" * 64) for number in identifiers}
    while found := _MARKER.search(content, position):
        position, marker = found.start(), content[found.start() + 1]
        if marker == _EOI:
            complete = not any(map(any, missing_bits.values()))
            return complete and found.end() == len(content)
        (length,) = struct.unpack_from(">H", content, position + 2)
        data = content[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == _SOS:
            count = data[0]
            first, last, bits = data[1 + 2 * count : 4 + 2 * count]
            for number in data[1 : 1 + 2 * count : 2]:
                if number not in missing_bits or not first <= last <= 63:
                    return False
                span = last + 1 - first
                missing_bits[number][first : last + 1] = bytes([bits & 15]) * span
        elif marker not in _WITHOUT_EFFECT:
            return False
    return False


def _is_upright(exif: list[bytes], xmp: Iterable[bytes]) -> bool:
    """Return True if metadata definitely have no orientation, or an upright one.

    Args:
      exif: EXIF data, each from its TIFF header on.
      xmp: XMP data, which count only where the EXIF data have no orientation.
    """
    if len(exif) > 1:  # Pillow joins them
        return False
    for data in exif:
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
        if order is None:
            return False
        (offset,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        table = data[offset + 2 : offset + 2 + 12 * count]
        if len(table) < 12 * count:
            return False
        tag = struct.pack(f"{order}H", ORIENTATION)
        upright = struct.pack(f"{order}HHIH", ORIENTATION, 3, 1, 1)
        entries = [table[i : i + 12] for i in range(0, len(table), 12)]
        found = [entry for entry in entries if entry.startswith(tag)]
        if found:
            return all(entry.startswith(upright) for entry in found)
    return not any(b"Orientation" in data for data in xmp)
