"""Seed 000, "Referencing Existing Tasks"."""

from flytekit.core.task import ReferenceTask
from typing import Dict, Type

from flytekit import workflow  # Mend 6: the usage, which the document has as a comment, is run

# Define a reference to an existing task on the Flyte platform
# The inputs and outputs must match the remote task's signature
my_remote_task = ReferenceTask(
    project="flyteexamples",
    domain="development",
    name="my_pre_existing_task",
    version="v1.0.0",
    inputs={"x": int, "y": str},
    outputs={"result": float},
)

# This reference task can now be used in workflows
@workflow
def my_workflow(a: int, b: str) -> float:
    return my_remote_task(x=a, y=b)
