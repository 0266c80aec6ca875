"""
Writes the templates of tasks as flytekit and its plugins author them; run in the environment that has them.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.extras.webhook import WebhookTask
from flytekit.sensor.file_sensor import FileSensor
from flytekit.tools.translator import get_serializable
from flytekitplugins.openai import BatchEndpointTask, ChatGPTTask

SETTINGS = SerializationSettings(
    project="flytesnacks",
    domain="development",
    version="v1",
    image_config=ImageConfig(default_image=Image(name="default", fqn="example/image", tag="v1")),
)

TASKS = {
    "sensor": FileSensor(name="wait_for_a_file"),
    "webhook": WebhookTask(
        name="call",
        url="{inputs.url}",
        data={"text": "{inputs.text}"},
        headers={"X-Kind": "test"},
        show_url=False,
        dynamic_inputs={"url": str, "text": str},
    ),
    "openai-batch": BatchEndpointTask(
        name="batch", openai_organization="org", config={"completion_window": "24h", "metadata": {"by": "us"}}
    ),
    "chatgpt": ChatGPTTask(
        name="ask", openai_organization="org", chatgpt_config={"model": "a-model", "temperature": 0.7}
    ),
}


def main(folder: Path) -> None:
    for name, task in TASKS.items():
        template = get_serializable(OrderedDict(), SETTINGS, task).template
        (folder / f"{name}.pb").write_bytes(template.to_flyte_idl().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
