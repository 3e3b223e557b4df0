"""The images of a folder, a zip or a tar as a collection.

Nothing is ever unpacked to disk, so no entry can write anywhere.
"""

import copy
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from stylegan_jax.data.formats.collection import (
    Collection,
    Unusable,
    check_bytes,
    identity,
)
from stylegan_jax.data.image_names import image_names

SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
LABEL_FILE = "dataset.json"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of zips
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, ValueError),
)


def open_folder(root: Path) -> Collection:
    """The images below a folder in the order of their paths.

    Raises:
      ValueError: there are none.
    """
    names = tuple(image_names(root, "--source", SUFFIXES))

    def read(index: int) -> bytes:
        try:
            # Not a pipe or a device, which could be endless.
            status = (root / names[index]).stat()
            if not stat.S_ISREG(status.st_mode):
                raise Unusable("is not a regular file")
            check_bytes(status.st_size)
            return (root / names[index]).read_bytes()
        except OSError as error:
            raise Unusable(f"can't be read: {error.strerror or error}") from error

    def size(name: str) -> int:
        try:
            return (root / name).stat().st_size
        except OSError:  # `read` will tell
            return -1

    label_file = root / LABEL_FILE
    return Collection(
        name=str(root),
        names=names,
        identity=identity((name, size(name)) for name in names),
        read=read,
        label_file=label_file.read_bytes() if label_file.is_file() else None,
    )


def open_zip(
    path: Path, setting: str = "--source", suffixes: tuple[str, ...] = SUFFIXES
) -> Collection:
    """The images of a zip in the order of their names; may be read by many threads.

    Raises:
      ValueError: no zip, or no images; calls it by the name of its `setting`.
    """
    try:
        archive = zipfile.ZipFile(path)
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"`{setting}` (={path}) can't be opened: {error}") from error
    files = {
        _entry_name(entry.filename): entry
        for entry in archive.infolist()
        if not entry.is_dir()
    }
    names = tuple(sorted(name for name in files if _is_image(name, suffixes)))
    _check_any(path, names, setting, suffixes)

    def read_name(name: str) -> bytes:
        entry = files[name]
        _check_inside(name)
        return read_entry(archive, entry)

    return Collection(
        name=str(path),
        names=names,
        identity=identity((name, files[name].CRC) for name in names),
        read=lambda index: read_name(names[index]),
        label_file=_label_file(path, read_name, LABEL_FILE in files),
    )


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of an entry; no more is unpacked than it says it has, and a byte.

    Raises:
      Unusable: it says too much or too little, is damaged, encrypted, or compressed by
        other means than the usual one.
    """
    check_bytes(entry.file_size)
    if entry.flag_bits & 1:
        raise Unusable("is encrypted")
    if entry.compress_type not in METHODS:
        # Of the others `zipfile` unpacks all that is there, however little is asked.
        raise Unusable(
            f"is compressed with method {entry.compress_type}; only stored and "
            "deflated entries are read, make the zip again with those"
        )
    probe = copy.copy(entry)
    probe.file_size += 1  # else what is longer would be cut, and pass for whole
    try:
        with archive.open(probe) as file:
            content = file.read(probe.file_size)
    except ARCHIVE_ERRORS as error:
        raise Unusable(f"can't be unpacked: {error}") from error
    if len(content) != entry.file_size:
        more = "more" if len(content) > entry.file_size else "less"
        raise Unusable(
            f"holds {more} than the {entry.file_size:,} bytes that the archive says"
        )
    return content


def open_tar(path: Path) -> Collection:
    """The images of a tar, maybe compressed, in the order of the archive.

    Raises:
      ValueError: no tar, or no images.
    """
    members: list[tarfile.TarInfo | str] = []
    try:
        archive = tarfile.open(path)  # noqa: SIM115, read from until the end
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"`--source` (={path}) can't be opened: {error}") from error
    try:
        # In the archive's order: compressed ones can't be read in any other.
        members.extend(archive)
    except ARCHIVE_ERRORS as error:
        members.append(f"is damaged from here on, its entries are lost: {error}")
    files = [
        (f"{path.name}, after {len(members) - 1} entries", member)
        if isinstance(member, str)
        else (_entry_name(member.name), member)
        for member in members
        if isinstance(member, str) or not member.isdir()
    ]
    images = [f for f in files if isinstance(f[1], str) or _is_image(f[0], SUFFIXES)]
    names = tuple(name for name, _ in images)
    _check_any(path, names, "--source", SUFFIXES)

    def content(member: tarfile.TarInfo) -> bytes:
        if not member.isreg():
            raise Unusable("is a link or a device in the archive; links aren't read")
        check_bytes(member.size)
        try:
            content = archive.extractfile(member).read()
        except ARCHIVE_ERRORS as error:
            raise Unusable(f"can't be unpacked: {error}") from error
        if len(content) < member.size:
            raise Unusable("is cut off by the end of the archive")
        return content

    def read(index: int) -> bytes:
        name, member = images[index]
        if isinstance(member, str):
            raise Unusable(member)
        _check_inside(name)
        return content(member)

    members_of = dict(files)
    return Collection(
        name=str(path),
        names=names,
        identity=identity((name, getattr(m, "size", -1)) for name, m in images),
        read=read,
        label_file=_label_file(
            path, lambda name: content(members_of[name]), LABEL_FILE in members_of
        ),
    )


def _label_file(path: Path, read: Callable[[str], bytes], exists: bool) -> bytes | None:
    try:
        return read(LABEL_FILE) if exists else None
    except Unusable as problem:
        raise ValueError(
            f"{LABEL_FILE} of {path} {problem}; repair or remove it"
        ) from problem


def _entry_name(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))


def _is_image(name: str, suffixes: tuple[str, ...]) -> bool:
    hidden = any(
        part == "__MACOSX" or (part.startswith(".") and part != "..")
        for part in name.split("/")
    )
    return name.lower().endswith(suffixes) and not hidden


def _check_any(
    path: Path, names: tuple[str, ...], setting: str, suffixes: tuple[str, ...]
) -> None:
    if not names:
        raise ValueError(
            f"`{setting}` (={path}) holds no images; entries with the endings "
            f"{', '.join(suffixes)} are looked for"
        )


def _check_inside(name: str) -> None:
    if name.startswith(("../", "/")) or ":" in name.split("/")[0]:
        raise Unusable("has a name that leads out of the archive; it is not read")
