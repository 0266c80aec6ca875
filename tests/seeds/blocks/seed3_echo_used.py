"""Ours: seed 003's plugin at work, its hooks leaving a line each time that they run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flyte
from flyte.extend import TaskPluginRegistry
from seed3_echo_task import EchoConfig, EchoTask


@dataclass
class WatchedConfig(EchoConfig):
    """Its own type, since a registry holds one class for each."""


@dataclass(kw_only=True)
class WatchedTask(EchoTask):
    async def pre(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        note(f"pre {kwargs or args}")
        return {"note": "made by pre"}

    async def post(self, return_vals: Any) -> Any:
        note(f"post {return_vals}")
        return return_vals


def note(line: str) -> None:
    with Path(os.environ["HOOKS"]).open("a") as opened:
        opened.write(line + "\n")


TaskPluginRegistry.register(WatchedConfig, WatchedTask)

env = flyte.TaskEnvironment(name="echoes", image="python:3.11-slim", plugin_config=EchoConfig(verbose=True))
watched = flyte.TaskEnvironment(name="watched", image="python:3.11-slim", plugin_config=WatchedConfig(verbose=True))


@env.task
async def say(text: str) -> str:
    return text * 2


@watched.task
def say_watched(text: str) -> str:
    return text + " from " + flyte.ctx().data["note"]
