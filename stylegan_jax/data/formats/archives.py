"""Zip and tar archives of images.

Nothing is ever unpacked to disk, so no entry can write outside its folder.
"""

import copy
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from stylegan_jax.data.formats.folder import LABEL_FILE, SUFFIXES
from stylegan_jax.data.interface import (
    InvalidImage,
    RawDataset,
    check_bytes,
    identity,
)

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, ValueError),
)


def open_zip(
    path: Path, setting: str = "--source", suffixes: tuple[str, ...] = SUFFIXES
) -> RawDataset:
    """Open the images of a zip in the order of their names; reads are thread-safe.

    Args:
      path: path of the zip.
      setting: name of the flag or config field in error messages.
      suffixes: file name endings of images, in lower case.

    Raises:
      ValueError: the file is not a zip, or holds no images.
    """
    try:
        archive = zipfile.ZipFile(path)
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"`{setting}` (={path}) cannot be opened: {error}") from error
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

    return RawDataset(
        name=str(path),
        names=names,
        identity=identity((name, files[name].CRC) for name in names),
        read=lambda index: read_name(names[index]),
        label_file=_label_file(path, read_name, LABEL_FILE in files),
    )


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the content of an entry; unpack its stated size and at most one byte more.

    Raises:
      InvalidImage: the stated size is wrong or too large, or the entry is damaged,
        encrypted, or compressed with an unusual method.
    """
    check_bytes(entry.file_size)
    if entry.flag_bits & 1:
        raise InvalidImage("is encrypted")
    if entry.compress_type not in ZIP_METHODS:
        # With other methods `zipfile` unpacks everything, however little is requested.
        raise InvalidImage(
            f"is compressed with method {entry.compress_type}; only stored and "
            "deflated entries are supported; recreate the zip with one of them"
        )
    probe = copy.copy(entry)
    probe.file_size += 1  # otherwise longer content would be truncated silently
    try:
        with archive.open(probe) as file:
            content = file.read(probe.file_size)
    except ARCHIVE_ERRORS as error:
        raise InvalidImage(f"cannot be unpacked: {error}") from error
    if len(content) != entry.file_size:
        more = "more" if len(content) > entry.file_size else "less"
        raise InvalidImage(
            f"holds {more} than the {entry.file_size:,} bytes that the archive states"
        )
    return content


def open_tar(path: Path) -> RawDataset:
    """Open the images of a tar, compressed or not, in the order of the archive.

    Raises:
      ValueError: the file is not a tar, or holds no images.
    """
    members: list[tarfile.TarInfo | str] = []
    try:
        archive = tarfile.open(path)  # noqa: SIM115, stays open for reading
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"`--source` (={path}) cannot be opened: {error}") from error
    try:
        # In the archive's order: compressed tars cannot be read in any other.
        members.extend(archive)
    except ARCHIVE_ERRORS as error:
        members.append(f"is damaged from here on; further entries are lost: {error}")
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
            raise InvalidImage("is a link or a device; only regular files are read")
        check_bytes(member.size)
        try:
            content = archive.extractfile(member).read()
        except ARCHIVE_ERRORS as error:
            raise InvalidImage(f"cannot be unpacked: {error}") from error
        if len(content) < member.size:
            raise InvalidImage("is cut off by the end of the archive")
        return content

    def read(index: int) -> bytes:
        name, member = images[index]
        if isinstance(member, str):
            raise InvalidImage(member)
        _check_inside(name)
        return content(member)

    members_of = dict(files)
    return RawDataset(
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
    except InvalidImage as problem:
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
            f"`{setting}` (={path}) holds no images; the names of images end in "
            f"{', '.join(suffixes)}"
        )


def _check_inside(name: str) -> None:
    if name.startswith(("../", "/")) or ":" in name.split("/")[0]:
        raise InvalidImage("has a name that points outside the archive; it is not read")
