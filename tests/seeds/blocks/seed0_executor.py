"""Seed 000, "Define the Executor"."""

# Mend 1: dedented; the block stands inside a list in the document.
from flytekit.core.shim_task import ShimTaskExecutor
from flytekit.models.task import TaskTemplate
from typing import Any

class MyCustomExecutor(ShimTaskExecutor):
    def execute_from_model(self, tt: TaskTemplate, **kwargs) -> Any:
        # Access custom data from the task template
        custom_data = tt.custom.get("my_custom_key")
        print(f"Executing with custom data: {custom_data}")
        # Implement your task's business logic here
        return kwargs["input_arg"] * 2
