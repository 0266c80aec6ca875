"""
The configuration of ``athena``.
"""

from __future__ import annotations

from collections.abc import Iterator

from airscrew.plugins.aws import AwsConfig, aws_problems

BATCH_SIZE = 50
"""So many queries Athena tells of with one request."""


class AthenaConfig(AwsConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What may be set under ``executors.athena``.

    Attributes:
        workgroup: For tasks that name none.
        catalog: For tasks that name none.
        database: For tasks that name none.
        output_location: Where results go, ``s3://…``; by default the attempt's own place, if that is on S3.
        batch: How many queries one request reads; 1 for a service in Athena's place that reads them one by one.
        token_window: For how many seconds Athena is trusted to know a query's token; Amazon does not say.
    """

    workgroup: str = "primary"
    catalog: str = "AwsDataCatalog"
    database: str = ""
    output_location: str = ""
    batch: int = BATCH_SIZE
    token_window: float = 3600.0


def athena_problems(config: AthenaConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form."""
    yield from aws_problems(config)
    if config.output_location and not config.output_location.startswith("s3://"):
        yield f"output_location must begin with s3://: {config.output_location!r}"
    if not 1 <= config.batch <= BATCH_SIZE:
        yield f"batch must be from 1 to {BATCH_SIZE}"
    if config.token_window <= 0:
        yield "token_window must be above 0"
