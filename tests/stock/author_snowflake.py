"""
Writes the templates of Snowflake's tasks as flytekit and its plugin author them; run in the environment that has them.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

from flytekit import kwtypes
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable
from flytekit.types.structured import StructuredDataset
from flytekitplugins.snowflake import SnowflakeConfig, SnowflakeTask

SETTINGS = SerializationSettings(
    project="flytesnacks",
    domain="development",
    version="v1",
    image_config=ImageConfig(default_image=Image(name="default", fqn="example/image", tag="v1")),
)

TASKS = {
    "snowflake": SnowflakeTask(
        name="find_people",
        query_template="SELECT {{.inputs.name}} AS name, 100 AS percent WHERE 'a%' LIKE 'a%' AND 3 > {{.inputs.least}}",
        task_config=SnowflakeConfig(user="u", account="an-account", database="d", schema="s", warehouse="w"),
        inputs=kwtypes(name=str, least=int),
        output_schema_type=StructuredDataset,
    ),
}


def main(folder: Path) -> None:
    for name, entity in TASKS.items():
        template = get_serializable(OrderedDict(), SETTINGS, entity).template
        (folder / f"{name}.pb").write_bytes(template.to_flyte_idl().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
