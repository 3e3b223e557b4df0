"""LSUN as its authors distribute it: an LMDB of encoded images, without labels.

For safety, the LMDB is read by the small parser below, not by the package `lmdb`: that
library maps the file into memory and trusts it. Of 300 damaged copies of a small LMDB,
7 killed the process with SIGBUS. The parser checks every offset.

It supports what a file at rest needs: no writing, no locks, only the main database. The
layout is that of LMDB version 1 on 64-bit little-endian machines: pages of equal size.
The first two ("meta") describe the file, and the one with the later transaction is
valid; its root page leads to a B+tree of branch and leaf pages.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stylegan_jax.data.interface import RawDataset, check_bytes, identity

FILE = "data.mdb"
SUFFIX = ".mdb"

# Magic number, version; page size; then for the main database: unused, flags, depth,
# entries, root; last page, transaction.
META = struct.Struct("<II16xI44xIHH24xQQQQ")
MAGIC, VERSION = 0xBEEFC0DE, 1
PAGE_HEAD = struct.Struct("<QHHHH")  # number, unused, flags, free space
NODE = struct.Struct("<IHH")  # value size (branch: low part of a page), flags, key size
BRANCH, LEAF, OVERFLOW = 1, 2, 4  # page flags
BIG = 1  # node flag: the value is in overflow pages
SPECIAL = 2 | 4  # node flags: a nested database, or several values per key
NO_PAGE = 2**64 - 1
MAX_DEPTH = 32


def open_lsun(path: Path) -> RawDataset:
    """Open all images of a `data.mdb` in the order of their keys.

    Raises:
      ValueError: the file is not an LMDB, is damaged, or has no entries.
    """
    try:
        database = Lmdb(path)
        if not database.entries:
            raise ValueError("it has no entries")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`--source` (={path}) cannot be read as LMDB: {error}; unpack or download "
            "it again"
        ) from error
    names = tuple(e.key.decode("ascii", "backslashreplace") for e in database.entries)

    def read(index: int) -> bytes:
        _, begin, end = database.entries[index]
        check_bytes(end - begin)
        return database.value(index)

    sizes = (end - begin for _, begin, end in database.entries)
    return RawDataset(
        name=str(path),
        names=names,
        identity=identity(zip(names, sizes, strict=True)),
        read=read,
    )


class Entry(NamedTuple):
    """A key, and the position of its value in the file."""

    key: bytes
    begin: int
    end: int


class Lmdb:
    """The keys of an LMDB file in order, and their values."""

    def __init__(self, path: Path):
        """Read the whole tree, but not the values.

        Raises:
          ValueError: the file is not an LMDB, or is damaged.
        """
        with open(path, "rb") as file:
            # Several threads may read slices of a memory map at once.
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._page_bytes, root, count = self._meta()
            self._seen: set[int] = set()
            self.entries = [] if root == NO_PAGE else list(self._below(root, 0))
        except struct.error as error:
            raise ValueError("it ends within a page") from error
        if len(self.entries) != count:
            raise ValueError(f"it declares {count} entries but has {len(self.entries)}")

    def value(self, index: int) -> bytes:
        """Return the value of an entry."""
        _, begin, end = self.entries[index]
        return self._bytes[begin:end]

    def _meta(self) -> tuple[int, int, int]:
        """Return page size, root page and number of entries."""
        first = self._one_meta(0)
        return max(first, self._one_meta(first[1]))[1:]

    def _one_meta(self, page: int) -> tuple[int, int, int, int]:
        """Return transaction, page size, root page and number of entries."""
        fields = META.unpack_from(self._bytes, page + PAGE_HEAD.size)
        magic, version, page_bytes, _, flags, _, count, root, _, transaction = fields
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError("it does not begin like an LMDB file of version 1")
        if not 256 <= page_bytes <= 2**16 or flags:
            raise ValueError(
                f"its pages have {page_bytes} bytes, its flags are {flags}"
            )
        return transaction, page_bytes, root, count

    def _below(self, page: int, depth: int) -> Iterator[Entry]:
        """Yield the entries of the subtree of a page, in order."""
        begin = page * self._page_bytes
        if begin + self._page_bytes > len(self._bytes):
            raise ValueError(f"its page {page} would lie beyond its end")
        number, _, flags, lower, _ = PAGE_HEAD.unpack_from(self._bytes, begin)
        is_branch = flags & (BRANCH | LEAF | OVERFLOW) == BRANCH
        is_leaf = flags & (BRANCH | LEAF | OVERFLOW) == LEAF
        cycle = page in self._seen or depth > MAX_DEPTH
        nodes = (lower - PAGE_HEAD.size) // 2
        if number != page or not (is_branch or is_leaf) or cycle or nodes < 0:
            raise ValueError(f"its page {page} is damaged")
        self._seen.add(page)
        for offset in struct.unpack_from(
            f"<{nodes}H", self._bytes, begin + PAGE_HEAD.size
        ):
            size, flags, key_bytes = NODE.unpack_from(self._bytes, begin + offset)
            key_begin = begin + offset + NODE.size
            value = key_begin + key_bytes
            if is_branch:  # the flags are the upper bits of the page number
                yield from self._below(size | flags << 32, depth + 1)
                continue
            if flags & SPECIAL:
                raise ValueError("it holds several values per key, or nested databases")
            if flags & BIG:
                (big,) = struct.unpack_from("<Q", self._bytes, value)
                value = big * self._page_bytes + PAGE_HEAD.size
            if value + size > len(self._bytes):
                raise ValueError(f"its page {page} is damaged, or the file is cut off")
            yield Entry(
                self._bytes[key_begin : key_begin + key_bytes], value, value + size
            )
