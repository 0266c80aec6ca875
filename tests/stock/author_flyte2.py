"""
Writes the templates of tasks as Flyte 2 and its plugins author them; run in the environment that has them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flyte
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.io import DataFrame, File
from flyte.models import SerializationContext
from flyteplugins.bigquery import BigQueryConfig, BigQueryTask
from flyteplugins.databricks import Databricks
from flyteplugins.slurm import Slurm, SlurmScriptTask
from flyteplugins.snowflake import Snowflake, SnowflakeConfig

SETTINGS = SerializationContext(
    project="flytesnacks", domain="development", org="org", version="v1", root_dir=Path(__file__).parent
)
CLUSTER = {"spark_version": "13.3.x-scala2.12", "node_type_id": "m5.xlarge", "num_workers": 2}

environment = flyte.TaskEnvironment(
    name="stock",
    image="example/image:v1",
    plugin_config=Databricks(
        databricks_conf={"run_name": "pi", "new_cluster": CLUSTER}, databricks_token="a-databricks-token"
    ),
)


@environment.task
async def estimate_pi(n: int) -> None:
    """A task whose results are elsewhere."""


report = SlurmScriptTask(
    name="report",
    script='#!/bin/bash\necho "$FLYTE_INPUT_WORD" > "$FLYTE_OUTPUT_REPORT"\n',
    plugin_config=Slurm(partition="main", ssh_private_key="a-key", known_hosts_secret="the-hosts"),
    inputs={"word": str},
    outputs={"report": File},
)
flyte.TaskEnvironment.from_task("scripts", report)

TASKS = {
    "slurm_script": report,
    "databricks": estimate_pi,
    "bigquery": BigQueryTask(
        name="find_words",
        query_template="SELECT word FROM words WHERE length = @length AND language = @language",
        plugin_config=BigQueryConfig(ProjectID="a-project", Location="EU"),
        inputs={"length": int, "language": str},
        output_dataframe_type=DataFrame,
        google_application_credentials="a-google-account",
    ),
    "snowflake": Snowflake(
        name="find_people",
        query_template="SELECT %(name)s AS name, 100 AS percent WHERE 'a%%' LIKE 'a%%' AND 3 > %(least)s",
        plugin_config=SnowflakeConfig(user="u", account="an-account", database="d", schema="s", warehouse="w"),
        inputs={"name": str, "least": int},
        output_dataframe_type=DataFrame,
        snowflake_private_key="a-snowflake-key",
    ),
}


def main(folder: Path) -> None:
    for name, entity in TASKS.items():
        template = translate_task_to_wire(entity, SETTINGS).task_template
        (folder / f"{name}.pb").write_bytes(template.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
