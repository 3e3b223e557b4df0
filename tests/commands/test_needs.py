"""Flags that would have no effect are refused, before any slow import."""

import pytest
from absl import flags

from tests.commands.test_help import COMMANDS

# Those that must be given; nothing is opened.
REQUIRED = {
    "generate": ("--network=x", "--out=x"),
    "interpolate": ("--network=x", "--out=x.mp4"),
    "project": ("--network=x", "--targets=x", "--out=x"),
    "tune": ("--network=x", "--projections=x", "--out=x"),
    "encoder": ("--network=x", "--out=x.safetensors"),
    "figures": ("--network=x", "--figure=nearest", "--out=x.png"),
}


def parse(program, *arguments):
    values, argv = flags.FlagValues(), [program, *REQUIRED[program], *arguments]
    COMMANDS[program].define(values, argv)
    COMMANDS[program].parse(argv, values)


@pytest.mark.parametrize(
    ("program", "flag", "without", "within"),
    [
        ("generate", "--columns=4", "--format=npz", "--format=webp"),
        ("generate", "--noise_seed=1", "--noise=const", "--noise=random"),
        ("generate", "--noise_seed=0", "--noise=none", "--noise=random"),
        ("generate", "--noise_layers=0-3", "--noise=none", "--noise=const"),
        ("interpolate", "--noise_seed=1", "--noise=const", "--noise=animated"),
        ("interpolate", "--noise_layers=0", "--noise=none", "--noise=animated"),
        ("project", "--samples=9", "--start=random", "--start=samples"),
        ("project", "--vgg16=x", "--distance=multiscale", "--distance=lpips"),
        ("project", "--efficientnet=x", "--distance=auto", "--distance=efficientnet"),
        ("tune", "--vgg16=x", "--distance=efficientnet", "--distance=auto"),
        ("tune", "--locality_radius=9", "", "--locality"),
        ("tune", "--seed=9", "--nolocality", "--locality"),
        ("encoder", "--efficientnet=x", "--distance=lpips", "--distance=efficientnet"),
        ("figures", "--fit=crop", "", "--data=photos"),
    ],
)
def test_flags_without_effect(program, flag, without, within):
    parse(program, flag, within)
    parse(program, *filter(None, [without]))
    with pytest.raises(ValueError) as raised:
        parse(program, flag, *filter(None, [without]))
    name, other = flag.partition("=")[0], within.partition("=")[0]
    assert str(raised.value).startswith(f"{name} has no effect with")
    assert f"; leave it out, or {'use' if '=' in without else 'add'} {other}" in str(
        raised.value
    )


def test_messages():
    with pytest.raises(ValueError) as raised:
        parse("generate", "--columns=4", "--format=npz")
    assert str(raised.value) == (
        "--columns has no effect with --format=npz; leave it out, or use "
        "--format=png or webp"
    )
    with pytest.raises(ValueError) as raised:
        parse("figures", "--fit=crop")
    assert str(raised.value) == (
        "--fit has no effect without --data; leave it out, or add --data=PATH"
    )


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if c.needs])
def test_the_needs_are_flags_and_their_values(name):
    command, values = COMMANDS[name], flags.FlagValues()
    command.define(values, [name])
    assert command.needs.keys() <= command.all_flags.keys()
    for other, allowed in command.needs.values():
        if allowed:
            assert set(allowed) < set(values[other].parser.enum_values)
        else:
            assert not values[other].value  # nothing by default
