"""
Jobs of an HTTP service in flight, over a real engine, sqlite and real connections; the service is a process of its own.

    python benchmarks/http_jobs.py --jobs 10000 --batch 100 --period 10 --changes 1000

Prints requests per period, memory and loop lag of the engine while all jobs run, and how long a change at the service
takes until the engine has recorded the phase.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench import BenchOptions
from airscrew.engine.bench.rig import Lag, bench_engine, cpu_seconds, rss_mb
from airscrew.idl.template import make_template

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from airscrew.engine.controller.live import Live
    from airscrew.engine.core import Core

SUBMITTERS = 128


def serve() -> None:
    """Be the service: jobs by name, each running until it is told to end."""
    from aiohttp import web

    jobs: dict[str, dict[str, Any]] = {}
    calls: Counter[str] = Counter()

    async def create(request: web.Request) -> web.Response:
        calls["create"] += 1
        name = (await request.json())["name"]
        job = jobs.setdefault(request.headers["Idempotency-Key"], {"id": name, "status": "running"})
        jobs[name] = job
        return web.json_response(job)

    async def get_many(request: web.Request) -> web.Response:
        calls["read"] += 1
        return web.json_response({"jobs": [jobs[one] for one in request.query["ids"].split(",") if one in jobs]})

    async def end(request: web.Request) -> web.Response:
        jobs[request.match_info["name"]]["status"] = "succeeded"
        return web.json_response({"at": time.time()})

    async def statistics(_: web.Request) -> web.Response:
        return web.json_response(calls)

    app = web.Application()
    app.router.add_post("/jobs", create)
    app.router.add_get("/jobs", get_many)
    app.router.add_post("/end/{name}", end)
    app.router.add_get("/statistics", statistics)

    async def run() -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def config(url: str, options: argparse.Namespace) -> dict[str, object]:
    """Make the configuration of http_job."""
    service = {
        "url": url,
        "create": {"path": "/jobs", "key_header": "Idempotency-Key", "body": {"name": "{{.custom.name}}"}},
        "get_many": {"path": "/jobs?ids={ids}", "items": "$.jobs", "batch": options.batch},
        "phases": {"running": "Running", "succeeded": "Success"},
        "interval": options.period,
    }
    return {"services": {"http_job": service}, "cache_size": 2 * options.jobs}


async def measure(url: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run the jobs and take the figures."""
    import aiohttp

    bench = BenchOptions(tasks=options.jobs, directory=str(folder))
    executors = {"http_job": config(url, options)}
    async with aiohttp.ClientSession() as http, bench_engine(bench, executors=executors) as (core, _):
        before = rss_mb()
        began = time.monotonic()
        await submit(core, options.jobs)
        starting = time.monotonic() - began
        await asyncio.sleep(options.period)
        lag = Lag()
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(lag.run())
            reads, used, began = await reads_of(http, url), cpu_seconds(), time.monotonic()
            await asyncio.sleep(3 * options.period)
            seconds = time.monotonic() - began
            reads, used = await reads_of(http, url) - reads, cpu_seconds() - used
            held = rss_mb()
            delays = await changes(core, http, url, options)
            sampler.cancel()
    delays.sort()
    return {
        "jobs": options.jobs,
        "starts_per_s": round(options.jobs / starting, 1),
        "reads_per_period": round(reads * options.period / seconds, 1),
        "cpu_percent": round(100 * used / seconds, 1),
        "rss_mb": held,
        "rss_before_mb": before,
        "loop_lag_p50_ms": lag.percentile(0.5),
        "loop_lag_p99_ms": lag.percentile(0.99),
        "period_s": options.period,
        "changes": len(delays),
        "change_to_phase_p50_s": round(delays[len(delays) // 2], 3),
        "change_to_phase_p99_s": round(delays[int(len(delays) * 0.99)], 3),
        "change_to_phase_max_s": round(delays[-1], 3),
    }


async def submit(core: Core, jobs: int) -> None:
    """Submit so many tasks, and wait until each has a job."""
    numbers = iter(range(jobs))

    async def some() -> None:
        for number in numbers:
            template = make_template("http_job", custom={"name": f"job-{number}"}).raw
            await core.api.submit(SubmitRequest(name=f"job-{number}", template=template))

    async with asyncio.TaskGroup() as group:
        for _ in range(SUBMITTERS):
            group.create_task(some())
    # A poll disturbs what is measured less than an event at each change would.
    while core.controller.unfinished < jobs or core.controller.ready:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def reads_of(http: ClientSession, url: str) -> int:
    """Ask the service how often it was read."""
    async with http.get(f"{url}/statistics") as reply:
        return int((await reply.json())["read"])


async def changes(core: Core, http: ClientSession, url: str, options: argparse.Namespace) -> list[float]:
    """End jobs one after the other over some periods; return the seconds until each end was recorded."""
    recorded: dict[str, float] = {}
    all_recorded = asyncio.Event()

    def note(live: Live) -> None:
        recorded[live.execution.name] = time.time()
        if len(recorded) == options.changes:
            all_recorded.set()

    core.controller.on_done = note
    changed: dict[str, float] = {}
    pause = 2 * options.period / options.changes
    step = max(options.jobs // options.changes, 1)
    for number in range(0, step * options.changes, step):
        async with http.post(f"{url}/end/job-{number}") as reply:
            changed[f"job-{number}"] = (await reply.json())["at"]
        await asyncio.sleep(pause)
    async with asyncio.timeout(5 * options.period):
        await all_recorded.wait()
    return [recorded[name] - at for name, at in changed.items()]


def main() -> None:
    """Start the service, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--period", type=float, default=10.0)
    parser.add_argument("--changes", type=int, default=1000)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:  # noqa: S603  # our own command
        try:
            assert service.stdout is not None
            url = service.stdout.readline().strip()
            with tempfile.TemporaryDirectory(prefix="airscrew-http-jobs-") as folder:
                print(json.dumps(asyncio.run(measure(url, Path(folder), options)), indent=2))
        finally:
            service.terminate()


if __name__ == "__main__":
    main()
