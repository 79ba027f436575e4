"""The worker that this project ships is one that a session can use; mypy checks the types."""

from soul.session.worker import Worker
from soul.stream.worker import Worker as ProcessWorker
from soul.stream.worker import WorkerConfig


def test_the_shipped_worker_fits() -> None:
    worker: Worker = ProcessWorker(WorkerConfig())
    assert worker.failure is None
