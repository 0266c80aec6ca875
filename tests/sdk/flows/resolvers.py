"""
One task for each way that flytekit has of finding a task again in the container.

The default resolver finds a module's attribute; the class storage resolver the n-th task added to an object that the
module makes again when it is imported; the notebook resolver (``notebook_kernel.py``) an entry of ``pkl.gz`` in the
working directory; the template resolver (``flows.shim``) needs the template's file alone.
"""

from __future__ import annotations

from flytekit import task
from flytekit.core.class_based_resolver import ClassStorageTaskResolver

stored = ClassStorageTaskResolver()


def _times(factor: int):
    @task(task_resolver=stored)
    def scale(x: int) -> int:
        return x * factor

    stored.add(scale)
    return scale


_times(2)
times_three = _times(3)


@task
def by_default(x: int) -> int:
    return x + 10
