"""The micro-benchmarks run, say what was measured, and their two forms agree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, str(ROOT / "kernels" / "bench" / "ops.py"), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.bench
def test_every_op_is_measured_in_both_forms_and_they_agree() -> None:
    answer = bench("--repeats", "1")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(row["op"], row["form"]) for row in rows] == [
        ("attention", "plain"),
        ("attention", "fast"),
        ("pullback", "plain"),
        ("pullback", "fast"),
    ], answer.stderr
    assert all(row["largest_difference"] < 1e-4 and row["median_ms"] > 0 for row in rows)


@pytest.mark.bench
def test_an_unknown_op_is_named() -> None:
    answer = bench("--op", "sort")
    assert answer.returncode == 2
    assert "'sort'" in answer.stderr
