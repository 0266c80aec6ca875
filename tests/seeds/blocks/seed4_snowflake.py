"""Seed 004, "Add a New Task Plugin", second block: a task without a function."""

# Mend 12: imports.
from datetime import datetime

import pandas
from flytekit import kwtypes, task, workflow
from flytekitplugins.snowflake import SnowflakeConfig, SnowflakeTask

query_task = SnowflakeTask(
    name="query_task",  # Mend 13: a name and the connection are required
    task_config=SnowflakeConfig(user="u", account="a", database="d", schema="s", warehouse="w"),
    query_template="Select * from x where x.time < {{.inputs.time}}",  # Mend 14: was query=
    inputs=kwtypes(time=datetime),
    output_schema_type=pandas.DataFrame,
)


# Mend 15: the document leaves process to its reader.
@task
def process(df: pandas.DataFrame) -> int:
    return len(df)


@workflow
def my_wf(t: datetime) -> int:  # Mend 11: the document's dots stand for the type
    df = query_task(time=t)
    return process(df=df)
