"""
What `make run` does: real flytekit tasks to their outputs, and a job of an HTTP service, phase by phase.

Everything goes through the command line, as a user would type it; each command is shown before it runs. State lies in
build/airscrew, so a second run finds what the first one left.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "airscrew"
AIRSCREW = Path(sys.executable).parent / "airscrew"
EXAMPLES = Path("examples")


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def airscrew(*arguments: str, expected: int = 0) -> None:
    """Run one command and show it; stop the tour when it does not end as it should."""
    print(f"$ airscrew {shlex.join(arguments)}", flush=True)
    path = f"{AIRSCREW.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "AIRSCREW_HOME": str(HOME), "PATH": path}
    done = subprocess.run([str(AIRSCREW), *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != expected:
        sys.exit(f"the command ended with {done.returncode}; {expected} was expected")


def start_job_service() -> tuple[subprocess.Popen[str], Path]:
    """Start the example's job service on a free port of loopback, and write the configuration that names it."""
    server = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "job_service" / "server.py"), "--port", "0", "--quiet"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    example = (ROOT / EXAMPLES / "job_service" / "config.yaml").read_text()
    config = HOME.parent / "tour.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(example.replace("http://127.0.0.1:8099", address))
    return server, config.relative_to(ROOT)


def main() -> None:
    say("1. A flytekit task, from its source to its output")
    airscrew("run", str(EXAMPLES / "flytekit" / "hello.py"), "greet", "--name", "Ada", "--times", "2")

    say("2. A task that fails: the traceback is kept, and the exit code says whose failure it is")
    airscrew("run", str(EXAMPLES / "flytekit" / "hello.py"), "divide", "--a", "1", "--b", "0", expected=1)

    say("3. A job of an HTTP service, declared by configuration alone, phase by phase with its custom state")
    server, config = start_job_service()
    try:
        inputs = ("--input", "text=to be or not to be", "--input", "seconds=2")
        task = str(EXAMPLES / "job_service" / "task.yaml")
        airscrew("--config", str(config), "run", task, *inputs, "--show-state")
    finally:
        server.terminate()
        server.wait()

    say("What is stored of it")
    airscrew("list")


if __name__ == "__main__":
    main()
