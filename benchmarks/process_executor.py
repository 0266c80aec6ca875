"""
Times of the process executor over real processes.

From the call of ``start_task`` to the task's first instruction, and from its last one to the wake of its owner.

    python benchmarks/process_executor.py [COUNT]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import Container, make_template
from airscrew.plugins.process import ProcessExecutor, ProcessState

SCRIPT = "date +%s%N; sleep 0.2; date +%s%N"


def log_of(state: ProcessState) -> str:
    """Read what a task wrote."""
    return Path(state.log).read_text()


async def measure(folder: Path, count: int) -> None:
    """Run tasks one after the other and print the figures in milliseconds."""
    template = make_template("container", target=Container(command=("sh", "-c", SCRIPT)))
    figures: dict[str, list[float]] = {
        "call of start_task": [],
        "until the task runs": [],
        "from its end to the wake": [],
    }
    async with ExecutorEnvironment(ProcessExecutor, root=folder.as_uri()) as environment:
        for number in range(count):
            attempt = environment.attempt(template, name=f"task-{number}")
            called_at, called = time.time(), time.perf_counter()
            await attempt.start()
            figures["call of start_task"].append(time.perf_counter() - called)
            await attempt.was_woken.wait()
            woken_at = time.time()
            status = await attempt.run()
            began, ended = (int(line) / 1e9 for line in log_of(status.state).split())
            figures["until the task runs"].append(began - called_at)
            figures["from its end to the wake"].append(woken_at - ended)
    for name, seconds in figures.items():
        p95 = quantiles(seconds, n=20)[-1]
        print(f"{name:26} median {median(seconds) * 1000:6.1f} ms   p95 {p95 * 1000:6.1f} ms   n {count}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(measure(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 40))
