"""Make `emoji64.zip`, the small data set of real images in the quickstart.

    python stylegan_jax/data/assets/make_emoji.py --source=../shared/data/emoji64.zip

The source holds Google's Noto Emoji rendered at 64x64 as `group/code-points.png`.
Skin-tone variants, flags and bare components would be the majority, so they are left
out, as are exact copies. NOTICE gives license and attribution.
"""

import argparse
import io
import zipfile
from collections import Counter
from pathlib import Path

from PIL import Image

RESOLUTION = 64
DROPPED_GROUPS = {"flags", "component"}
SKIN_TONES = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # makes the archive reproducible
TARGET = Path(__file__).resolve().parent / "emoji64.zip"


def wanted(name: str) -> bool:
    """Return True if the entry `group/code-points.png` belongs in the data set."""
    path = Path(name)
    return (
        path.suffix == ".png"
        and path.parent.name not in DROPPED_GROUPS
        and not SKIN_TONES & set(path.stem.split("-"))
    )


def on_white(encoded: bytes) -> Image.Image:
    """Return a picture as RGB on a white background."""
    picture = Image.open(io.BytesIO(encoded)).convert("RGBA")
    assert picture.size == (RESOLUTION, RESOLUTION), picture.size
    background = Image.new("RGBA", picture.size, "white")
    background.alpha_composite(picture)
    return background.convert("RGB")


def make(source: Path, target: Path) -> Counter:
    """Write `target`, and return the number of images per group."""
    counts: Counter = Counter()
    seen: set[bytes] = set()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as out:
        for name in sorted(filter(wanted, archive.namelist())):
            picture = on_white(archive.read(name))
            if picture.tobytes() in seen:
                continue
            seen.add(picture.tobytes())
            encoded = io.BytesIO()
            picture.save(encoded, "PNG", optimize=True)
            # Stored, not deflated, because PNG is compressed already.
            out.writestr(zipfile.ZipInfo(name, FIXED_DATE), encoded.getvalue())
            counts[name.split("/")[0]] += 1
    return counts


def main() -> None:
    """Parse the flags, write the zip and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, default=TARGET)
    args = parser.parse_args()
    counts = make(args.source, args.target)
    for group, count in sorted(counts.items()):
        print(f"{group:16} {count:5}")
    print(f"{'total':16} {counts.total():5}  {args.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
