"""
Writes the templates of Airflow's operators as flytekit's plugin makes tasks of them; run in the environment with both.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sensors.bash import BashSensor
from flytekit import workflow
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable
from flytekitplugins.airflow.task import AirflowTask

SETTINGS = SerializationSettings(
    project="flytesnacks",
    domain="development",
    version="v1",
    image_config=ImageConfig(default_image=Image(name="default", fqn="example/image", tag="v1")),
)


@workflow
def everything() -> None:
    """A workflow of operators, each of which becomes a task."""
    AirbyteTriggerSyncOperator(task_id="sync", connection_id="c-1")
    HttpOperator(task_id="call", endpoint="call", method="POST")
    HttpSensor(task_id="page", endpoint="page")
    BashSensor(task_id="bash", bash_command="exit 0")


def main(folder: Path) -> None:
    entities: OrderedDict[Any, Any] = OrderedDict()
    get_serializable(entities, SETTINGS, everything)
    for entity, made in entities.items():
        if isinstance(entity, AirflowTask):
            written = made.template.to_flyte_idl().SerializeToString(deterministic=True)
            (folder / f"{entity.name.rpartition('.')[2]}.pb").write_bytes(written)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
