"""Zip and tar archives of images.

Nothing is ever unpacked to disk, so no entry can write outside its folder.
"""

import copy
import functools
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from stylegan_jax.data import label_file
from stylegan_jax.data.formats.listing import (
    HEAD_BYTES,
    IMAGE,
    MAX_HEADS,
    Listing,
    kind_by_content,
    kind_by_name,
    listing,
    no_images,
)
from stylegan_jax.data.interface import (
    InvalidImage,
    RawDataset,
    check_bytes,
    identity,
)
from stylegan_jax.data.label_file import LabelFile

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, ValueError),
)


def open_zip(path: Path, setting: str = "--source") -> RawDataset:
    """Open the images of a zip in the order of their names; reads are thread-safe.

    Args:
      path: path of the zip.
      setting: name of the flag or config field in error messages.

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
    look_for_grids = len(files) <= MAX_HEADS
    kinds = {}
    for name in sorted(files):
        kinds[name] = kind_by_name(name, look_for_grids) or kind_by_content(
            name, lambda most, name=name: read_entry(archive, files[name], most)
        )
    found = listing(kinds, lambda name: read_entry(archive, files[name], HEAD_BYTES))
    names = found.names
    if not names:
        raise no_images(setting, path, found.notes)

    def read_name(name: str) -> bytes:
        _check_inside(name)
        return read_entry(archive, files[name])

    return RawDataset(
        name=str(path),
        names=names,
        identity=identity((name, files[name].CRC) for name in names),
        read=lambda index: read_name(names[index]),
        label_file=_label_file(path, found, read_name),
        notes=found.notes,
    )


def read_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int | None = None
) -> bytes:
    """Return the content of an entry; unpack at most a byte more than its stated size.

    Args:
      archive: the zip.
      entry: the entry.
      most: number of bytes to return from the beginning, unverified; None for all.

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
            if most is not None:
                return file.read(min(most, entry.file_size))
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

    Of several entries with the same name, the last one counts, as in unpacking.

    Raises:
      ValueError: the file is not a tar, or holds no images.
    """
    try:
        archive = tarfile.open(path)  # noqa: SIM115, stays open for reading
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"`--source` (={path}) cannot be opened: {error}") from error

    def content(member: tarfile.TarInfo, most: int | None = None) -> bytes:
        if not member.isreg():
            raise InvalidImage("is a link or a device; only regular files are read")
        check_bytes(member.size)
        size = member.size if most is None else min(most, member.size)
        try:
            unpacked = archive.extractfile(member).read(size)
        except ARCHIVE_ERRORS as error:
            raise InvalidImage(f"cannot be unpacked: {error}") from error
        if len(unpacked) < size:
            raise InvalidImage("is cut off by the end of the archive")
        return unpacked

    # In the archive's order, because compressed tars can only be read sequentially.
    files: dict[str, tarfile.TarInfo | str] = {}
    kinds: dict[str, str] = {}
    count = 0
    try:
        for member in archive:
            count += 1
            if member.isdir():
                continue
            name = _entry_name(member.name)
            files.pop(name, None)  # or the name would keep its earlier position
            kinds.pop(name, None)
            kinds[name] = kind_by_name(name, True) or kind_by_content(
                name, functools.partial(content, member)
            )
            files[name] = member
    except ARCHIVE_ERRORS as error:
        name = f"{path.name}, after {count} entries"
        kinds[name] = IMAGE
        files[name] = f"is damaged from here on; further entries are lost: {error}"
    found = listing(kinds, lambda name: content(files[name], HEAD_BYTES))
    if not found.names:
        raise no_images("--source", path, found.notes)
    names = found.names

    def read(index: int) -> bytes:
        name = names[index]
        member = files[name]
        if isinstance(member, str):
            raise InvalidImage(member)
        _check_inside(name)
        return content(member)

    return RawDataset(
        name=str(path),
        names=names,
        identity=identity((n, getattr(files[n], "size", -1)) for n in names),
        read=read,
        label_file=_label_file(path, found, lambda name: content(files[name])),
        notes=found.notes,
    )


def _label_file(
    path: Path, found: Listing, read: Callable[[str], bytes]
) -> LabelFile | None:
    def where(name: str) -> str:
        return f"{name} of {path}"

    def read_or_explain(name: str) -> bytes:
        try:
            return read(name)
        except InvalidImage as problem:
            raise ValueError(
                f"{where(name)} {problem}; repair or remove it"
            ) from problem

    return label_file.choose(
        found.label_files, found.names, where, read_or_explain, found.left_out
    )


def _entry_name(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))


def _check_inside(name: str) -> None:
    if name.startswith(("../", "/")) or ":" in name.split("/")[0]:
        raise InvalidImage("has a name that points outside the archive; it is not read")
