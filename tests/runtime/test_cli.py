"""Expected errors end a program with one message."""

import errno
import io
import sys

import jax
import pytest

from stylegan_jax.runtime import cli


def ending(capsys, error, **kinds):
    """Return the exit status and the message of a program that raises an error."""
    reporting = cli.reporting_errors(OSError, permanent=(ValueError,), **kinds)
    with pytest.raises(SystemExit) as ended, reporting:
        raise error
    out, err = capsys.readouterr()
    assert out == ""
    return ended.value.code, err


def test_statuses_and_messages(capsys):
    assert ending(capsys, ValueError("wrong")) == (2, "error: wrong\n")
    assert ending(capsys, ValueError("wrong"), status=7) == (7, "error: wrong\n")
    assert ending(capsys, OSError("gone")) == (1, "error: gone\n")
    assert ending(capsys, OSError()) == (1, "error: OSError\n")
    with pytest.raises(KeyError), cli.reporting_errors(OSError):
        raise KeyError("a bug")
    assert ending(capsys, KeyboardInterrupt()) == (130, "error: interrupted\n")
    no_device = cli.NoDevice("no device")
    assert ending(capsys, no_device) == (cli.EXIT_FAILURE, "error: no device\n")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (MemoryError(), "no more memory"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB.\nmore\nlines"),
            "RESOURCE_EXHAUSTED: 9 GiB",
        ),
    ],
)
def test_a_lack_of_memory_is_reported(capsys, error, shown):
    status, message = ending(capsys, error)
    assert status == cli.EXIT_FAILURE
    assert message.startswith(f"error: out of memory: {shown}; use smaller batches")


def test_other_errors_of_jax_keep_their_traceback():
    error = jax.errors.JaxRuntimeError("INTERNAL: a bug")
    with pytest.raises(jax.errors.JaxRuntimeError), cli.reporting_errors(OSError):
        raise error


def test_errors_of_the_system_name_their_file(capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "/data/a.png")
    assert ending(capsys, full) == (
        1,
        "error: /data/a.png: No space left on device\n",
    )
    moved = OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")
    assert ending(capsys, moved) == (1, "error: a -> b: Invalid cross-device link\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_text_can_be_printed(monkeypatch, encoding):
    console = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(console, encoding=encoding))
    cli.show_any_text()
    print("class été 日本 \udcff", flush=True)
    expected = "class été 日本 \udcff".encode(encoding, "backslashreplace")
    assert console.getvalue() == expected + b"\n"


def test_a_closed_pipe_is_reported_once(capsys, monkeypatch):
    monkeypatch.setattr(cli, "forget_stdout", lambda: None)
    status, message = ending(capsys, BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert status == 1
    assert message == "error: the program that reads this output has ended\n"
