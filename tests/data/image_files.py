"""Random image files of all kinds that users bring, and what they show.

PNGs and BMPs are written here, bit by bit, since Pillow writes few of their forms; what
they show is known without any decoder. What the others show is what Pillow returns.
"""

import dataclasses
import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from stylegan_jax.data.headers import ORIENTATION
from tests.data.raw_data import encoded

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]  # x, y, their steps
ADAM7 += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A file.

    Attributes:
      kind: its format and the form of it.
      content: the file.
      shown: what it shows upright, RGBA uint8 [H, W, 4].
    """

    kind: str
    content: bytes
    shown: np.ndarray


def random_file(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """Return a file of any kind that shows an image of this size when it is upright."""
    make = rng.choice([png, png, png, jpeg, jpeg, jpeg, bmp, gif, webp, tiff, ppm])
    return make(rng, height, width)


def blocks(rng: np.random.Generator, height: int, width: int, channels: int):
    """Large blocks of random colors, with some noise, uint8 [H, W, C]."""
    coarse = rng.integers(9, 247, (4, 4, channels))
    rows, columns = (np.arange(side) * 4 // side for side in (height, width))
    pixels = coarse[rows[:, None], columns]
    return (pixels + rng.integers(-9, 10, pixels.shape)).astype(np.uint8)


def picture(rng, height: int, width: int, mode: str) -> Image.Image:
    """Random image of a mode of Pillow."""
    bands = Image.getmodebands(mode)
    if mode in ("1", "P"):
        return picture(rng, height, width, "RGB").convert(mode)
    pixels = blocks(rng, height, width, bands)
    if mode == "I;16":
        high = pixels[..., 0].astype(np.uint16) << 8
        return Image.fromarray(high + rng.integers(0, 256, high.shape, np.uint16))
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def turned(rng, height: int, width: int) -> tuple[int, int, int]:
    """Return an orientation, often 1, and the height and width that are stored."""
    orientation = int(rng.integers(2, 9)) if rng.random() < 0.3 else 1
    return orientation, *((width, height) if orientation >= 5 else (height, width))


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels [H, W, C] as an EXIF orientation asks."""
    match orientation:
        case 2:
            return stored[:, ::-1]
        case 3:
            return stored[::-1, ::-1]
        case 4:
            return stored[::-1]
        case 5:
            return stored.swapaxes(0, 1)
        case 6:
            return stored[::-1].swapaxes(0, 1)
        case 7:
            return stored[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return stored[:, ::-1].swapaxes(0, 1)
    return stored


def exif_bytes(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x0110] = "a camera"
    return exif.tobytes()


def xmp(orientation: int) -> str:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{orientation}"/>'


def as_pillow_shows(kind: str, content: bytes) -> ImageFile:
    with Image.open(io.BytesIO(content)) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            values = np.rint(np.asarray(image) / 257).astype(np.uint8)
            image = Image.fromarray(values)
        return ImageFile(kind, content, np.asarray(image.convert("RGBA")))


# PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def _rows(samples: np.ndarray, depth: int, rng: np.random.Generator) -> bytes:
    """Return the filtered rows of samples [H, W, C] that are packed into bytes."""
    height = len(samples)
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = samples.reshape(height, -1, 1) >> np.arange(depth)[::-1] & 1
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    step = max(samples.shape[2] * depth // 8, 1)
    left = np.pad(rows, ((0, 0), (step, 0)))[:, : rows.shape[1]]
    up = np.pad(rows, ((1, 0), (0, 0)))[:height]
    filters = rng.integers(0, 3, (height, 1))  # none, sub or up
    filtered = rows - np.where(filters == 1, left, np.where(filters == 2, up, 0))
    return np.concatenate([filters, filtered], 1).astype(np.uint8).tobytes()


def png(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """PNG of any color type and depth, with any transparency, metadata and order."""
    orientation, height, width = turned(rng, height, width)
    color = int(rng.choice([0, 2, 3, 4, 6]))
    depths = {0: (1, 2, 4, 8, 8, 16), 3: (1, 2, 4, 8)}.get(color, (8, 8, 8, 16))
    depth = int(rng.choice(depths))
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    samples = blocks(rng, height, width, channels).astype(np.int64)
    if depth == 16:
        samples = samples * 256 + rng.integers(0, 256, samples.shape)
    else:
        samples >>= 8 - depth
    before, name = [], f"PNG {color}/{depth}"

    # Colors and transparency
    full = 2**depth - 1
    if color == 3:
        palette = rng.integers(0, 256, (2**depth, 3), np.uint8)
        before.append(chunk(b"PLTE", palette.tobytes()))
        alpha = np.full(2**depth, 255, np.uint8)
        if rng.random() < 0.5:
            opacity = rng.integers(0, 256, rng.integers(1, 2**depth + 1), np.uint8)
            if rng.random() < 0.5:
                opacity[:] = 255
                opacity[rng.integers(len(opacity))] = 0
            alpha[: len(opacity)] = opacity
            before.append(chunk(b"tRNS", opacity.tobytes()))
            name += " transparent"
        shown = np.concatenate([palette, alpha[:, None]], 1)[samples[..., 0]]
    else:
        if depth == 16:
            gray = color == 0  # `decode_pil` documents this
            values = np.rint(samples / 257) if gray else samples >> 8
        else:
            values = samples * (255 // full)
        values = values.astype(np.uint8)
        alpha = np.full((height, width, 1), 255, np.uint8)
        if color in (4, 6):
            values, alpha = values[..., :-1], values[..., -1:]
        elif rng.random() < 0.4:
            key = samples[rng.integers(height), rng.integers(width)]
            before.append(chunk(b"tRNS", key.astype(">u2").tobytes()))
            alpha[(samples == key).all(-1)] = 0
            name += " keyed"
        shown = np.concatenate(
            [np.broadcast_to(values, (*values.shape[:2], 3)), alpha], 2
        )

    # Metadata before and behind the pixels
    if rng.random() < 0.5:
        icc = b"profile\0\0" + zlib.compress(rng.bytes(40))
        extra = [(b"gAMA", b"\0\0\xb1\x8f"), (b"sRGB", b"\0"), (b"iCCP", icc)]
        extra += [(b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\1"), (b"tEXt", b"Author\0me")]
        extra += [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 99)), (b"abCd", b"z")]
        chosen = rng.permutation(len(extra))[: rng.integers(1, 5)]
        before[:0] = [chunk(*extra[i]) for i in chosen]
    if color == 2 and rng.random() < 0.1:
        before.insert(0, chunk(b"PLTE", bytes(12)))
    behind, text = [], b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(orientation).encode()
    if orientation > 1 or rng.random() < 0.2:
        data = exif_bytes(orientation).removeprefix(b"Exif\0\0")
        turn = [chunk(b"eXIf", data), chunk(b"iTXt", text)][rng.integers(2)]
        (behind if rng.random() < 0.4 else before).append(turn)
        name += f" EXIF {orientation}"
    if rng.random() < 0.2:
        behind.append(chunk(b"tEXt", b"date:create\0today"))

    interlaced = rng.random() < 0.3
    name += " interlaced" * interlaced
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = (samples[y::step_y, x::step_x] for x, y, step_x, step_y in passes)
    data = zlib.compress(b"".join(_rows(p, depth, rng) for p in parts if p.size))
    size = int(rng.choice([len(data), 100, 33]))
    pixels = [chunk(b"IDAT", data[i : i + size]) for i in range(0, len(data), size)]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    chunks = [chunk(b"IHDR", header), *before, *pixels, *behind, chunk(b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    if rng.random() < 0.1:  # Pillow's own, which may have several frames
        image = picture(rng, height, width, "RGB")
        others = [picture(rng, height, width, "RGB")] * int(rng.integers(0, 2))
        exif = exif_bytes(orientation)
        content = encoded(image, exif=exif, save_all=True, append_images=others)
        return as_pillow_shows("PNG by Pillow" + " animated" * len(others), content)
    return ImageFile(name, content, upright(shown, orientation))


# JPEG


def jpeg(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """JPEG of any color space, sampling and order of scans, with any markers."""
    orientation, height, width = turned(rng, height, width)
    mode = str(rng.choice(["RGB", "RGB", "RGB", "L", "CMYK"]))
    name, options = f"JPEG {mode}", {"quality": int(rng.integers(5, 101))}
    if rng.random() < 0.4:
        options["progressive"] = True
        name += " progressive"
    if rng.random() < 0.2:
        options["restart_marker_blocks"] = 3
    if rng.random() < 0.3:
        options["icc_profile"] = rng.bytes(50)
    if mode == "RGB" and rng.random() < 0.1:
        options["keep_rgb"] = True
        name += " as RGB"
    elif mode == "RGB":
        options["subsampling"] = int(rng.integers(3))
    how = rng.integers(4)
    if how == 1 or orientation > 1 and how == 2:
        options["exif"] = exif_bytes(orientation)
        name += f" EXIF {orientation}"
    elif how >= 2:
        options["xmp"] = xmp(orientation).encode()
        name += f" XMP {orientation}"
    else:
        height, width = (width, height) if orientation >= 5 else (height, width)
    image = picture(rng, height, width, mode)
    content = encoded(image, "JPEG", **options)
    if mode == "RGB" and "keep_rgb" not in options:
        content = _other_sampling(content, rng)
    if rng.random() < 0.3:
        content, removed = _without(content, b"\xff\xe0", b"\xff\xee")
        name += f" without {removed}" * bool(removed)
    extra = rng.random()
    if extra < 0.1:
        content += rng.bytes(9)
        name += " with a trailer"
    elif extra < 0.2 and "progressive" in options:
        content = _first_scans(content, int(rng.integers(1, 4)))
        name += " incomplete"
    elif extra < 0.3:
        content = encoded(image, "MPO", save_all=True, append_images=[image], **options)
        name = f"MPO {mode}"
    elif extra < 0.35:
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([int(rng.integers(3))])
        content = content[:2] + adobe + content[2:]
        name += " Adobe"
    return as_pillow_shows(name, content)


def _segments(content: bytes) -> list[tuple[int, int]]:
    """Return begin and end of the segments before the pixels of a JPEG."""
    found, begin = [], 2
    while content[begin + 1] != 0xDA:
        end = begin + 2 + int.from_bytes(content[begin + 2 : begin + 4])
        found.append((begin, end))
        begin = end
    return found


def _without(content: bytes, *markers: bytes) -> tuple[bytes, str]:
    """Remove JFIF's and Adobe's segments."""
    parts, kept = _segments(content), content
    for begin, end in reversed(parts):
        if content[begin : begin + 2] in markers:
            kept = kept[:begin] + kept[end:]
    return kept, "JFIF or Adobe" if kept != content else ""


def _other_sampling(content: bytes, rng: np.random.Generator) -> bytes:
    """Relabel sampling factors where blocks and image stay consistent."""
    for begin, _ in _segments(content):
        if content[begin + 1] in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack_from(">HH", content, begin + 5)
            place = begin + 11
            options = {0x21: (0x21, 0x12), 0x22: (0x22, 0x41, 0x14)}
            factors = options.get(content[place], (content[place],))
            if height % 32 or width % 32:
                return content
            changed = bytearray(content)
            changed[place] = rng.choice(factors)
            return bytes(changed)
    raise ValueError("no frame")


def _first_scans(content: bytes, count: int) -> bytes:
    """Cut a progressive JPEG off after some of its scans."""
    begin = -1
    for _ in range(count + 1):
        begin = content.index(b"\xff\xda", begin + 1)
    tables = content.rfind(b"\xff\xc4", 0, begin)
    last = content.rfind(b"\xff\xda", 0, begin)
    return content[: tables if tables > last else begin] + b"\xff\xd9"


# Other formats


def bmp(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """BMP of 1 to 32 bits, bottom-up or top-down, with or without a palette."""
    bits = int(rng.choice([1, 4, 8, 16, 24, 32]))
    palette, top_down = b"", rng.random() < 0.3
    if bits <= 8:
        colors = rng.integers(0, 256, (2**bits, 3), np.uint8)
        indices = blocks(rng, height, width, 1)[..., 0] >> (8 - bits)
        shown = colors[indices]
        palette = np.pad(colors[:, ::-1], ((0, 0), (0, 1))).tobytes()
        planes = indices[..., None] >> np.arange(bits)[::-1] & 1
        rows = np.packbits(planes.reshape(height, -1), axis=1)
    else:
        shown = blocks(rng, height, width, 3)
        if bits == 16:
            five = (shown >> 3).astype(np.uint16)
            packed = five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]
            rows = packed.astype("<u2").view(np.uint8)
            shown = (five * 255 // 31).astype(np.uint8)
        elif bits == 24:
            rows = shown[..., ::-1].reshape(height, -1)
        else:
            unused = np.full((height, width, 1), rng.choice([0, 0, 255]), np.uint8)
            rows = np.concatenate([shown[..., ::-1], unused], 2).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    data = (rows if top_down else rows[::-1]).tobytes()
    tall = -height if top_down else height
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, tall, 1, bits, 0, len(data), 2835, 2835, 0, 0
    )
    begin = 14 + len(info) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", begin + len(data), 0, 0, begin)
    opaque = np.full((height, width, 1), 255, np.uint8)
    content = head + info + palette + data
    return ImageFile(f"BMP {bits}", content, np.concatenate([shown, opaque], 2))


def gif(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """GIF with or without transparency, several frames or a smaller first frame."""
    image = picture(rng, height, width, "RGB").quantize(int(rng.integers(2, 65)))
    name, options = "GIF", {"interlace": int(rng.integers(2))}
    if rng.random() < 0.2:
        image = picture(rng, height, width, "L")
    if rng.random() < 0.5:
        index = np.asarray(image)[rng.integers(height), rng.integers(width)]
        options["transparency"] = int(index)
        name += " transparent"
    if rng.random() < 0.3:
        other = picture(rng, height, width, "RGB").quantize(8)
        options |= {"save_all": True, "append_images": [other]}
        name += " animated"
    content = bytearray(encoded(image, "GIF", **options))
    if rng.random() < 0.2:  # within a larger canvas
        small = encoded(image.crop((0, 0, width // 2, height // 2)), "GIF")
        content = bytearray(small)
        content[6:10] = struct.pack("<HH", width, height)
        name = "GIF smaller frame"
    return as_pillow_shows(name, bytes(content))


def webp(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """WebP, lossy or not, with or without alpha, EXIF and several frames."""
    orientation, height, width = turned(rng, height, width)
    mode = str(rng.choice(["RGB", "RGBA"]))
    name, options = f"WebP {mode}", {"lossless": bool(rng.integers(2)), "method": 0}
    if orientation > 1:
        options["exif"] = exif_bytes(orientation)
        name += f" EXIF {orientation}"
    if rng.random() < 0.3:
        other = picture(rng, height, width, mode)
        options |= {"save_all": True, "append_images": [other]}
        name += " animated"
    return as_pillow_shows(
        name, encoded(picture(rng, height, width, mode), "WEBP", **options)
    )


def tiff(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """TIFF of any mode that has 16 or fewer bits a channel, turned or not."""
    orientation, height, width = turned(rng, height, width)
    mode = str(rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]))
    options = {"compression": [None, "tiff_lzw", "tiff_adobe_deflate"][rng.integers(3)]}
    if orientation > 1:
        options["tiffinfo"] = {ORIENTATION: orientation}
    name = f"TIFF {mode}" + f" EXIF {orientation}" * (orientation > 1)
    if rng.random() < 0.2:
        other = picture(rng, height, width, "RGB")
        options |= {"save_all": True, "append_images": [other]}
    image = picture(rng, height, width, mode)
    return as_pillow_shows(name, encoded(image, "TIFF", **options))


def ppm(rng: np.random.Generator, height: int, width: int) -> ImageFile:
    """PGM or PPM."""
    mode = str(rng.choice(["L", "RGB"]))
    image = picture(rng, height, width, mode)
    return as_pillow_shows(f"PPM {mode}", encoded(image, "PPM"))
