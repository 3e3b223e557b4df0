"""Lists of names, sizes and commands in messages."""

import shlex

import pytest

from stylegan_jax.runtime import messages


def test_at_most_twenty_names_are_listed():
    names = [f"n{i}" for i in range(23)]
    assert messages.listed(names[:20]) == ", ".join(names[:20])
    assert messages.listed(names) == ", ".join(names[:20]) + " and 3 more"
    assert messages.lines(["a", "b"]) == "\n  a\n  b"
    assert messages.lines(names).splitlines()[-2:] == ["  n19", "  ... and 3 more"]


def test_sizes_are_width_by_height():
    assert messages.sides((384, 512)) == "512x384"
    assert messages.parse_sides("512x384", "--size") == (384, 512)
    assert messages.parse_sides(" 512 X 384 ", "--size") == (384, 512)
    assert messages.parse_sides("256", "--size") == (256, 256)


@pytest.mark.parametrize("text", ["", "0x3", "3x0", "64x", "x64", "a", "-4", "1x2x3"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match="WIDTHxHEIGHT such as 512x384") as raised:
        messages.parse_sides(text, "--size")
    assert f"`--size` (={text!r})" in str(raised.value)


def test_commands_are_quoted_for_the_shell():
    text = messages.command("generate", "--workdir=my runs/a", "--out=it's $HOME")
    assert shlex.split(text) == [
        *("python", "-m", "stylegan_jax.generate"),
        *("--workdir=my runs/a", "--out=it's $HOME"),
    ]
    assert "--workdir='my runs/a'" in text
    plain = messages.command("generate", "--out=runs/a")
    assert plain == "python -m stylegan_jax.generate --out=runs/a"
