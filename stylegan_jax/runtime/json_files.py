"""Reading of JSON files, with messages that name the file."""

import json
import os
from typing import Any

from etils import epath


def read(path: str | os.PathLike, remedy: str) -> Any:
    """Return the content of a JSON file.

    Args:
      path: the file, on disk or in a bucket.
      remedy: advice on a damaged file, the last clause of the message.

    Raises:
      ValueError: the file is empty, damaged, or not a file.
      OSError: the file cannot be read.
    """
    try:
        content = epath.Path(path).read_bytes()
    except IsADirectoryError as error:
        raise ValueError(
            f"{path} must be a file, but it is a folder; {remedy}"
        ) from error
    if not content.strip(b"\0 \t\r\n"):
        raise ValueError(f"{path} is empty; {remedy}")
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}; {remedy}") from error


def read_object(path: str | os.PathLike, remedy: str) -> dict[str, Any]:
    """Return the content of a JSON file that must be an object; see `read`."""
    content = read(path, remedy)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} is damaged: it must hold an object, and holds "
            f"{_KINDS.get(type(content), 'a number')}; {remedy}"
        )
    return content


_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
