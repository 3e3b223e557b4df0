"""A local directory that replaces the gs:// buckets of `etils.epath`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from etils import epath
from etils.epath import backend, gpath

from stylegan_jax.runtime import storage


class Bucket(backend._OsPathBackend):
    """Backend that reads and writes gs://NAME/FILE as ROOT/NAME/FILE."""

    def __init__(self, root: Path):
        self.root = root

    def local(self, path: epath.PathLike) -> str:
        text = os.fspath(path)
        if "://" not in text:
            return text
        return str(self.root / text.partition("://")[2])

    def open(self, path, mode):
        assert "a" not in mode, "buckets cannot append"
        return super().open(self.local(path), mode)

    def walk(self, top, **arguments):
        for folder, folders, files in super().walk(self.local(top), **arguments):
            relative = os.path.relpath(folder, self.root)
            yield f"gs://{relative}", folders, files

    def glob(self, path):
        found = super().glob(self.local(path))
        return [f"gs://{os.path.relpath(f, self.root)}" for f in found]


def _with_local_paths(name: str, count: int):
    """Return a method whose first `count` arguments are mapped to local paths."""
    original = getattr(backend._OsPathBackend, name)

    def method(self, *arguments, **others):
        where = [self.local(path) for path in arguments[:count]]
        return original(self, *where, *arguments[count:], **others)

    return method


_ONE_PATH_METHODS = ("exists", "isdir", "listdir", "makedirs", "mkdir", "rmtree")
for _name in (*_ONE_PATH_METHODS, "remove", "stat"):
    setattr(Bucket, _name, _with_local_paths(_name, 1))
for _name in ("rename", "replace", "copy"):
    setattr(Bucket, _name, _with_local_paths(_name, 2))


@contextlib.contextmanager
def served(root: Path) -> Iterator[None]:
    """Serve a directory as gs:// within the block, as if gcsfs were installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(gpath._PREFIX_TO_BACKEND, "gs", Bucket(root))
        patch.setattr(gpath, "_is_tf_installed", lambda: False)
        patch.setattr(storage, "_etils_uses_tensorflow", lambda: False)
        patch.setattr(storage, "_is_installed", lambda package: package == "gcsfs")
        yield
