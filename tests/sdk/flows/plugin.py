"""A function task of another class, chosen by its configuration through ``TaskPlugins``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flytekit import task
from flytekit.configuration import SerializationSettings
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.extend import TaskPlugins


@dataclass
class LoudConfig:
    marks: int


class LoudTask(PythonFunctionTask[LoudConfig]):
    """The function's text, louder; its type is one that no engine knows, with a container to fall back on."""

    def __init__(self, task_config: LoudConfig, task_function: Callable[..., str], **kwargs: Any) -> None:
        super().__init__(task_config=task_config, task_function=task_function, task_type="loud", **kwargs)

    def get_custom(self, settings: SerializationSettings) -> dict[str, Any]:
        return {"marks": self.task_config.marks}

    def execute(self, **kwargs: Any) -> str:
        return super().execute(**kwargs).upper() + "!" * self.task_config.marks


TaskPlugins.register_pythontask_plugin(LoudConfig, LoudTask)


@task(task_config=LoudConfig(marks=3))
def shout(text: str) -> str:
    return text
