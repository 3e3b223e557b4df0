"""Make `smileys64.zip`, the small data set of the quickstart.

    python -m pip install emoji
    python stylegan_jax/data/assets/make_smileys.py --source=smileys64.zip

The source holds the smileys of four emoji fonts at 64x64 on white, as
`font/code-points.png` or `font/short-name.png`. The archive names all of them
`font/expression.png` by their CLDR short names, from the package `emoji`.
`smileys64_held_out.txt` lists a tenth of them, to be left out of training: those whose
names have the smallest SHA-256 digests. NOTICE gives licenses and attributions.
"""

import argparse
import hashlib
import re
import zipfile
from collections import Counter
from pathlib import Path

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # makes the archive reproducible
TARGET = Path(__file__).resolve().parent / "smileys64.zip"
HELD_OUT = TARGET.with_name("smileys64_held_out.txt")
CODE_POINTS = re.compile(r"[0-9a-f]{4,5}(-[0-9a-f]{4,5})*")
RENAMED = {  # names in older versions of CLDR, which one of the fonts uses
    "hugging-face": "smiling-face-with-open-hands",
    "knocked-out-face": "face-with-crossed-out-eyes",
    "pouting-face": "enraged-face",
}


def expression(stem: str) -> str:
    """Return the short name of a smiley, such as "grinning-face"."""
    if not CODE_POINTS.fullmatch(stem):
        return RENAMED.get(stem, stem)
    import emoji  # only this program needs it

    text = "".join(chr(int(code, 16)) for code in stem.split("-"))
    known = emoji.EMOJI_DATA
    name = known[text if text in known else text + "\ufe0f"]["en"]
    return name.strip(":").lower().replace("_", "-")


def make(source: Path, target: Path) -> list[str]:
    """Write `target`, and return the names of its images."""
    contents = {}
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            path = Path(name)
            if path.suffix == ".png":
                new = f"{path.parent.name}/{expression(path.stem)}.png"
                assert new not in contents, (name, new)
                contents[new] = archive.read(name)
    with zipfile.ZipFile(target, "w") as out:
        for name in sorted(contents):
            # Stored, not deflated, because PNG is compressed already.
            out.writestr(zipfile.ZipInfo(name, FIXED_DATE), contents[name])
    return sorted(contents)


def main() -> None:
    """Parse the flags, write the files and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True)
    args = parser.parse_args()
    names = make(args.source, TARGET)

    def digest(name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()

    held_out = sorted(sorted(names, key=digest)[: round(len(names) / 10)])
    HELD_OUT.write_text("".join(f"{name}\n" for name in held_out))
    for font, count in Counter(name.split("/")[0] for name in names).items():
        print(f"{font:12} {count:4}")
    print(f"{'total':12} {len(names):4}, of which {len(held_out)} are held out")


if __name__ == "__main__":
    main()
