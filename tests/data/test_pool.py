"""Processes answer, die and fail; the pool goes on or says why it does not."""

from collections import deque

import pytest

import made_workers
from soul.data.errors import StopError
from soul.data.pool import Died, Pool


def test_one_that_dies_costs_its_own_task_and_tasks_may_be_added() -> None:
    tasks = deque(["a", "die", "b"])
    answers: dict[str, str | Died] = {}
    with Pool[str, str](made_workers.make, 2) as pool:
        for task, answer in pool.run(tasks):
            answers[task] = answer
            if task == "b":
                tasks.append("late")
    assert answers == {"a": "A", "b": "B", "late": "LATE", "die": Died("Killed")}


def test_trouble_for_all_ends_the_run() -> None:
    with Pool[str, str](made_workers.make, 1) as pool, pytest.raises(StopError, match="is full"):
        list(pool.run(deque(["stop", "a"])))


def test_an_error_in_a_worker_is_told() -> None:
    with Pool[str, str](made_workers.fail, 1) as pool, pytest.raises(StopError) as caught:
        list(pool.run(deque(["no number"])))
    assert str(caught.value) == "a worker failed at no number; its error stands above"


def test_a_worker_that_cannot_be_made_is_told() -> None:
    with Pool[str, str](made_workers.refuse, 1) as pool, pytest.raises(StopError, match="no weigh"):
        list(pool.run(deque(["a"])))
    with pytest.raises(StopError, match="0 processes cannot work"):
        Pool[str, str](made_workers.make, 0)
