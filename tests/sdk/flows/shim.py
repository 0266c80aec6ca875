"""A task whose code is in an executor class, and which is loaded from its template alone."""

from __future__ import annotations

from typing import Any

from flytekit import kwtypes
from flytekit.configuration import SerializationSettings
from flytekit.core.interface import Interface
from flytekit.core.python_customized_container_task import PythonCustomizedContainerTask
from flytekit.core.shim_task import ShimTaskExecutor
from flytekit.models.task import TaskTemplate


class MultiplyExecutor(ShimTaskExecutor):
    def execute_from_model(self, tt: TaskTemplate, **kwargs: Any) -> Any:
        return int(tt.custom["factor"]) * kwargs["x"]


class MultiplyTask(PythonCustomizedContainerTask[None]):
    def __init__(self, name: str, factor: int) -> None:
        super().__init__(
            name=name,
            task_config=None,
            container_image="example.invalid/multiply:1",
            executor_type=MultiplyExecutor,
            task_type="multiply",
            interface=Interface(kwtypes(x=int), kwtypes(o0=int)),
        )
        self.factor = factor

    def get_custom(self, settings: SerializationSettings) -> dict[str, Any]:
        return {"factor": self.factor}


class RefuseExecutor(ShimTaskExecutor):
    def execute_from_model(self, tt: TaskTemplate, **kwargs: Any) -> Any:
        raise ValueError("a shim's user error")


class RefuseTask(MultiplyTask):
    def __init__(self, name: str) -> None:
        super().__init__(name, factor=0)
        self._executor_type = RefuseExecutor
        self._executor = RefuseExecutor()


times_seven = MultiplyTask("flows.shim.times_seven", factor=7)
refuses = RefuseTask("flows.shim.refuses")
