"""Hive tasks as flytekit's own plugin writes them, run at Qubole."""

from __future__ import annotations

import pytest
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable
from flytekit.types.schema import FlyteSchema
from flytekitplugins.hive.task import HiveConfig, HiveTask
from tests.support.literal_maps import literals
from tests.unit.plugins.qubole.qubole_kit import open_bench

from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, decode_template
from airscrew.idl.wire import WireForm

pytestmark = pytest.mark.virtual_time


def template_of(task: HiveTask) -> TaskTemplate:
    settings = SerializationSettings(project="p", domain="d", version="v", image_config=ImageConfig.auto())
    entity = get_serializable({}, settings, task)
    return decode_template(entity.template.to_flyte_idl().SerializeToString(), WireForm.FLYTE1)


async def test_a_hive_task_runs_with_its_inputs_and_points_to_what_it_wrote() -> None:
    task = HiveTask(
        name="nightly",
        query_template="""
            insert overwrite directory '{{ .rawOutputDataPrefix }}' stored as parquet
            select * from blah where ds = '{{ .Inputs.ds }}'
        """,
        task_config=HiveConfig(cluster_label="flyte", tags=["nightly"]),
        inputs={"ds": str},
        output_schema_type=FlyteSchema,
    )
    async with open_bench() as bench:
        attempt = bench.environment.attempt(template_of(task), literals(ds=("it's", str)))

        status = await attempt.run()

    (body,) = bench.qubole.bodies
    place = attempt.data.locations.raw_output_prefix
    assert status.phase is Phase.SUCCESS
    assert " ".join(body["query"].split()) == (
        f"insert overwrite directory '{place}' stored as parquet select * from blah where ds = 'it\\'s'"
    )
    assert (body["label"], body["tags"][0]) == ("flyte", "nightly")
    assert status.outputs.literals["results"].scalar.schema.uri == place  # type: ignore[union-attr]


async def test_the_statements_of_a_select_task_stay_in_one_command() -> None:
    query = """
        CREATE TEMPORARY TABLE {{ .PerRetryUniqueKey }}_tmp AS select * from blah;
        ALTER TABLE {{ .PerRetryUniqueKey }} SET LOCATION '{{ .RawOutputDataPrefix }}';
        DROP TABLE {{ .PerRetryUniqueKey }};
    """
    async with open_bench() as bench:
        attempt = bench.environment.attempt(template_of(HiveTask(name="select", query_template=query)))

        await attempt.run()

    (body,) = bench.qubole.bodies
    assert f"CREATE TEMPORARY TABLE {attempt.key}_tmp AS" in body["query"]
    assert body["query"].endswith(f"DROP TABLE {attempt.key}")
