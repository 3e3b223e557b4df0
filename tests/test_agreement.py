"""Every decision before a collective is the same in all processes.

A process that decided alone would skip a collective that the others wait in.
"""

import ast
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import agreement_worker, tiny

PACKAGE = Path(tiny.ROOT) / "stylegan_jax"
# Outcome of each decision, where process 1 alone has a reason for it.
EXPECTED = {
    "stop": True,
    "differing_facts": "ValueError: the processes of this run differ",
    "newest_checkpoint": "CheckpointError: the processes see different newest",
    "checkpoints_on_disk": "CheckpointError: the processes see different checkpoints",
    "damaged_checkpoint": 1,  # of 1 and 2
    "directory_that_cannot_be_written": "CheckpointError: cannot write checkpoints",
    "mount_that_comes_back": "1 after CheckpointError: saving step 1 to",
    "rounds_for_the_memory": [4, 500.0, "g_main"],  # 2 would do for process 0
    "compiler_out_of_memory": [4, 250.0, "g_main"],  # likewise
    "memory_of_the_devices": 50.0,
    "cached_statistics": ["pool"],
    "data_set_to_prepare": "by 0",
    "collapse": [True, 1, [1, "2.collapsed"], 0.5],
    "record_of_a_rollback": "ValueError: of process 0",
}
# Functions that agree, and the decisions that show it. Values that are gathered and
# not decided on, such as the rows of a batch, have none.
AGREEMENTS = {
    "checkpoint.checkpoints._agreed_steps": "checkpoints_on_disk",
    "checkpoint.checkpoints._prepare_to_write": "directory_that_cannot_be_written",
    "checkpoint.checkpoints._raise_in_all_processes": "see checkpoint/test_processes",
    "checkpoint.checkpoints.save": "directory_that_cannot_be_written",
    "checkpoint.checkpoints.set_aside": "collapse",
    "checkpoint.failures.reading": "damaged_checkpoint",
    "data.formats.tfds.open_split": "data_set_to_prepare",
    "evaluate._check_writable": "see test_evaluate",
    "evaluate.main": "differing_facts",
    "metrics.evaluation.collect_real_statistics": "cached_statistics",
    "metrics.generator_metrics._collect": None,
    "metrics.statistics.gather_rows": None,
    "runtime.parallel.check_agreement": "differing_facts",
    "runtime.processes.in_turns": "data_set_to_prepare",
    "train.image_cache": "memory_of_the_devices",
    "train.train": "differing_facts",
    "training.guard._read": "record_of_a_rollback",
    "training.guard._write": "collapse",
    "training.guard.has_collapsed": "collapse",
    "training.loop._agree_to_stop": "stop",
    "training.memory.budget": "memory_of_the_devices",
    "training.memory.greatest_need": "rounds_for_the_memory",
    "workdir.resuming.check_shared": "newest_checkpoint",
}
AGREE = re.compile(
    r"\.?\b(all_processes|any_process|max_over_processes|all_rows|gather_texts|exchange"
    r"|in_turns|check_agreement|device_memory)$"
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[dict]:
    """Return the outcomes in both processes."""
    directory = tmp_path_factory.mktemp("agreement")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.agreement_worker", port]
    running = [
        subprocess.Popen(
            [*command, str(i), str(directory)],
            cwd=tiny.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in (0, 1)
    ]
    try:
        printed = [tiny.finish(process)[0] for process in running]
        return [json.loads(text.splitlines()[-1]) for text in printed]
    finally:
        for process in running:
            process.kill()


@pytest.mark.parametrize("name", agreement_worker.names())
def test_processes_agree(outcomes, name):
    first, second = (outcome[name] for outcome in outcomes)
    expected = EXPECTED[name]
    if isinstance(expected, str):
        assert first.startswith(expected) and second.startswith(expected)
    else:
        assert first == second == expected


def test_every_function_that_agrees_is_listed():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and any(
                isinstance(node, (ast.Attribute, ast.Call))
                and AGREE.search(ast.unparse(getattr(node, "func", node)))
                for node in ast.walk(function)
            ):
                found.add(f"{module}.{function.name}")
    assert found == AGREEMENTS.keys()
    shown = {x for x in AGREEMENTS.values() if x and not x.startswith("see ")}
    others = {"compiler_out_of_memory", "mount_that_comes_back"}
    assert shown | others == EXPECTED.keys()
    assert EXPECTED.keys() == set(agreement_worker.names())
