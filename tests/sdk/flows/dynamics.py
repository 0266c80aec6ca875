"""Tasks that ask for other tasks."""

from __future__ import annotations

from flytekit import dynamic, map_task, task


@task
def square(x: int) -> int:
    return x * x


@task
def total(values: list[int]) -> int:
    return sum(values)


@dynamic
def sum_of_squares(n: int) -> int:
    return total(values=[square(x=i) for i in range(n)])


@dynamic
def squares(n: int) -> list[int]:
    return [square(x=i) for i in range(n)]


@dynamic
def constant(n: int) -> int:
    """Nothing to run: the job specification has no nodes and its output is bound at once."""
    return n


@task
def boom(x: int) -> int:
    if x:
        raise ValueError(f"child {x}")
    return x


@dynamic
def one_child_fails(n: int) -> int:
    return total(values=[square(x=1), boom(x=n)])


map_square = map_task(square)
