"""Reads LMDB files, as LSUN comes in them: all keys and values of the main database.

Only what a file at rest needs: no writing, no locks, no other databases in it. The
layout is that of LMDB's version 1 on machines of 64 bits with the low byte first: pages
of one size, the first two with the same description of the whole ("meta"), of which the
later transaction counts; from its root a B+tree of branches and leaves.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Magic, version; page size; of the main database: unused, flags, depth, entries, root;
# last page, transaction.
META = struct.Struct("<II16xI44xIHH24xQQQQ")
MAGIC, VERSION = 0xBEEFC0DE, 1
PAGE_HEAD = struct.Struct("<QHHHH")  # number, unused, flags, and what depends on them
NODE = struct.Struct("<IHH")  # size of the value or low part of a page, flags, key size
BRANCH, LEAF, OVERFLOW = 1, 2, 4  # flags of a page
BIG = 1  # flag of a node: the value is in pages of its own
SPECIAL = 2 | 4  # flags of nodes that hold a database, or several values
NO_PAGE = 2**64 - 1
MAX_DEPTH = 32


class Entry(NamedTuple):
    """Where a value lies in the file."""

    key: bytes
    begin: int
    end: int


class Lmdb:
    """The keys of a file in their order, and the values behind them."""

    def __init__(self, path: Path):
        """Reads the whole tree, not the values.

        Raises:
          ValueError: it is no such file, or damaged.
        """
        with open(path, "rb") as file:
            # May be read by many threads at once.
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._page_bytes, root, count = self._meta()
            self._seen: set[int] = set()
            self.entries = [] if root == NO_PAGE else list(self._below(root, 0))
        except struct.error as error:
            raise ValueError("it ends within a page") from error
        if len(self.entries) != count:
            raise ValueError(f"it says {count} entries and has {len(self.entries)}")

    def value(self, index: int) -> bytes:
        """The value of an entry."""
        _, begin, end = self.entries[index]
        return self._bytes[begin:end]

    def _meta(self) -> tuple[int, int, int]:
        """Page size, root page and number of entries."""
        first = self._one_meta(0)
        return max(first, self._one_meta(first[1]))[1:]

    def _one_meta(self, page: int) -> tuple[int, int, int, int]:
        """Transaction, page size, root, entries."""
        fields = META.unpack_from(self._bytes, page + PAGE_HEAD.size)
        magic, version, page_bytes, _, flags, _, count, root, _, turn = fields
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError("it does not begin as an LMDB file of version 1")
        if not 256 <= page_bytes <= 2**16 or flags:
            raise ValueError(
                f"its pages have {page_bytes} bytes, its flags are {flags}"
            )
        return turn, page_bytes, root, count

    def _below(self, page: int, depth: int) -> Iterator[Entry]:
        begin = page * self._page_bytes
        if begin + self._page_bytes > len(self._bytes):
            raise ValueError(f"its page {page} would lie behind its end")
        number, _, flags, lower, _ = PAGE_HEAD.unpack_from(self._bytes, begin)
        is_branch = flags & (BRANCH | LEAF | OVERFLOW) == BRANCH
        is_leaf = flags & (BRANCH | LEAF | OVERFLOW) == LEAF
        circle = page in self._seen or depth > MAX_DEPTH
        nodes = (lower - PAGE_HEAD.size) // 2
        if number != page or not (is_branch or is_leaf) or circle or nodes < 0:
            raise ValueError(f"its page {page} is damaged")
        self._seen.add(page)
        for offset in struct.unpack_from(
            f"<{nodes}H", self._bytes, begin + PAGE_HEAD.size
        ):
            size, flags, key_bytes = NODE.unpack_from(self._bytes, begin + offset)
            key_begin = begin + offset + NODE.size
            value = key_begin + key_bytes
            if is_branch:  # the flags are the upper bits of a page's number
                yield from self._below(size | flags << 32, depth + 1)
                continue
            if flags & SPECIAL:
                raise ValueError("it holds several values of a key, or databases")
            if flags & BIG:
                (big,) = struct.unpack_from("<Q", self._bytes, value)
                value = big * self._page_bytes + PAGE_HEAD.size
            if value + size > len(self._bytes):
                raise ValueError(f"its page {page} is damaged, or its end missing")
            yield Entry(
                self._bytes[key_begin : key_begin + key_bytes], value, value + size
            )
