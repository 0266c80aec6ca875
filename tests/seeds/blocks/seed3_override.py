"""Seed 003, "Dynamic Task Overrides"."""

# Mend 9: imports; a task of Flyte 2 belongs to an environment, which takes the resources (was @task(requests=...)).
from flyte import Resources, TaskEnvironment

env = TaskEnvironment(name="override", resources=Resources(cpu="1", memory="1Gi"), image="python:3.11-slim")

@env.task
def my_task(x: int) -> int:
    return x + 1

# Override resources at the call-site
custom_task = my_task.override(resources=Resources(cpu="2", memory="2Gi"))
