"""Tasks that end other than well: each way that a Python task has of doing so."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

from flytekit import current_context, task
from flytekit.core.base_task import IgnoreOutputs
from flytekit.exceptions.user import FlyteRecoverableException


@task
def raises(message: str) -> int:
    if message:
        raise ValueError(message)
    return 0  # flytekit refuses a function that names an output and has no return


@task(retries=3)
def recovers(fails: int) -> int:
    """Fail with a recoverable error on the first ``fails`` attempts, then return the attempt's number."""
    attempt = int(os.environ.get("FLYTE_ATTEMPT_NUMBER", "0"))
    if attempt < fails:
        raise FlyteRecoverableException(f"attempt {attempt} failed")
    return attempt


@task(retries=3)
def resumes(steps: int) -> int:
    """Count upwards in a checkpoint, fail half way on the first attempt, and go on from there on the second."""
    checkpoint = current_context().checkpoint
    saved = checkpoint.read()
    done = int(saved.decode()) if saved else 0
    if done == 0:
        checkpoint.write(str(steps // 2).encode())
        raise FlyteRecoverableException(f"stopped at {steps // 2}")
    return done * 100 + steps


@task
def ignores_outputs(x: int) -> int:
    if x:
        raise IgnoreOutputs("another rank writes them")
    return x


@task
def exits(code: int) -> int:
    sys.exit(code)
    return code


@task
def kills_itself() -> int:
    os.kill(os.getpid(), 9)
    return 0


@task(timeout=timedelta(seconds=3))
def times_out(seconds: int) -> int:
    time.sleep(seconds)
    return seconds
