"""
``bigquery``: queries as flytekit's BigQuery tasks send them, as jobs of BigQuery.

A job's id is the attempt's key, so that a start is made again without harm; jobs are read many at once from the
project's list, and each that the list leaves out by itself. Inputs are bound as named parameters.
Nothing here MUST write an input into the text of a query.
"""

from __future__ import annotations

from airscrew.plugins.bigquery.executor import BigQueryExecutor
from airscrew.plugins.bigquery.state import BigQueryState

__all__ = ["BigQueryExecutor", "BigQueryState"]
