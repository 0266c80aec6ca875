"""Tasks that need nothing but flytekit: what a small image can run."""

from __future__ import annotations

from flytekit import Resources, task


@task(requests=Resources(cpu="100m", mem="200Mi"))
def add_one(x: int) -> int:
    """Add one."""
    print(f"adding one to {x}")
    return x + 1


@task(requests=Resources(cpu="100m", mem="200Mi"))
def refuse(x: int) -> int:
    """Fail as user code does."""
    if x:
        raise ValueError(f"{x} is not wanted")
    return x
