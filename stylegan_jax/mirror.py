"""A local directory whose files are copied to a bucket, where no file can grow."""

import tempfile
from pathlib import Path

from etils import epath


class Mirror:
    """Files are written here as on any disk, and uploaded when they have changed."""

    def __init__(self, remote: epath.Path, resumed: tuple[str, ...]):
        """Makes the directory.

        Args:
          remote: what it stands for, in a bucket.
          resumed: names of files that are appended to; fetched if they are there.
        """
        self._remote = remote
        self._directory = tempfile.TemporaryDirectory(prefix="stylegan_jax-")
        self.local = Path(self._directory.name)
        self._uploaded: dict[Path, tuple[int, int]] = {}
        for name in resumed:
            if (remote / name).exists():
                (self.local / name).write_bytes((remote / name).read_bytes())

    def upload(self, *names: str) -> None:
        """Copies what has changed of these files, and in these directories.

        Raises:
          OSError: the bucket refuses, for whatever reason.
        """
        for name in names:
            path = self.local / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    self._upload(file)

    def close(self) -> None:
        """Removes the local directory."""
        self._directory.cleanup()

    def _upload(self, file: Path) -> None:
        status = file.stat()
        version = status.st_size, status.st_mtime_ns
        if self._uploaded.get(file) == version:
            return
        target = self._remote / file.relative_to(self.local).as_posix()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        except Exception as error:  # backends have no class of errors in common
            raise OSError(f"upload to {target} failed: {error}") from error
        self._uploaded[file] = version
