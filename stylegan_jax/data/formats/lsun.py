"""LSUN as its authors ship it: an LMDB of encoded images, without labels."""

from pathlib import Path

from stylegan_jax.data.formats.collection import Collection, check_bytes, identity
from stylegan_jax.data.formats.lmdb import Lmdb

FILE = "data.mdb"
SUFFIX = ".mdb"


def open_lsun(path: Path) -> Collection:
    """All images of a `data.mdb` in the order of their keys.

    Raises:
      ValueError: it is no LMDB, is damaged, or empty.
    """
    try:
        database = Lmdb(path)
        if not database.entries:
            raise ValueError("it has no entries")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`--source` (={path}) can't be read as LMDB: {error}; unpack or download "
            "it again"
        ) from error
    names = tuple(e.key.decode("ascii", "backslashreplace") for e in database.entries)

    def read(index: int) -> bytes:
        _, begin, end = database.entries[index]
        check_bytes(end - begin)
        return database.value(index)

    sizes = (end - begin for _, begin, end in database.entries)
    return Collection(
        name=str(path),
        names=names,
        identity=identity(zip(names, sizes, strict=True)),
        read=read,
    )
