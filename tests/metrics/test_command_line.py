"""Flags of evaluate that contradict each other are refused."""

import inspect
import re

import pytest
from absl import flags

from stylegan_jax.metrics import command_line
from stylegan_jax.metrics.command_line import EXCLUDES, NEEDS, contradictions

RUN, FOLDERS = {"workdir"}, {"images_a", "images_b"}


@pytest.mark.parametrize(
    "given",
    [
        RUN,
        RUN | {"data", "fit", "step", "truncation_psi", "noise", "out"},
        FOLDERS | {"size", "fit"},
        RUN | {"coordinator", "num_processes", "process_id"},
        RUN | {"distributed"},
    ],
)
def test_flags_that_belong_together(given):
    assert contradictions(given) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (set(), "give --workdir, or both --images_a and --images_b"),
        (RUN | FOLDERS, "--workdir and --images_a, --images_b exclude each other"),
        (RUN | {"size"}, "--workdir and --size exclude each other: leave out either"),
        ({"images_a"}, "--images_a says nothing without --images_b: give that too"),
        (RUN | {"fit"}, "--fit says nothing without --images_a or --data"),
        (FOLDERS | {"data"}, "--data says nothing without --workdir"),
        (FOLDERS | {"step"}, "--step says nothing without --workdir"),
        (FOLDERS | {"noise"}, "or leave out --noise"),
        (RUN | {"num_processes"}, "--num_processes says nothing without --coordinator"),
    ],
)
def test_flags_that_contradict(given, message):
    [problem] = contradictions(given)
    assert message in problem


def test_every_rule_is_of_flags_that_there_are():
    source = inspect.getsource(command_line.define)
    declared = set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", source))
    assert "workdir" in declared
    rules = list(NEEDS.items()) + list(EXCLUDES.items())
    named = {name for flag, others in rules for name in (flag, *others)}
    assert named <= declared


def test_flags_without_a_value_are_not_given(monkeypatch):
    values = flags.FlagValues()
    for name in ("workdir", "images_a", "data", "out"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    values(["evaluate", "--workdir=runs/it", "--images_a="])
    monkeypatch.setattr(command_line, "FLAGS", values)
    assert command_line.given() == {"workdir"}
