"""
The outside systems that stock connectors make jobs at, each with what is peculiar to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from tests.stock.waiting import RAISES

BLAMES = "the connector calls every failure the user's"

LOGS = (
    "with the connector in process; flytekit's own server needs FLYTE_SDK_RICH_TRACEBACKS=0 in its environment, else "
    "the connector's log line of the failure raises (`TypeError: not all arguments converted`), and nobody hears of it"
)
HOLDS_UP = (
    "Snowflake's client tries again by itself, in the loop of its process: connectors that share it are not heard "
    "meanwhile, so give it a service of its own"
)
THREADS = (
    "Snowflake's client tries again by itself, and each look at a job takes a thread of its process meanwhile: what "
    "else needs one there waits, so give it a service of its own"
)
UNKNOWN = "one job, but the connector does not know it: StartOutcomeUnknown, as of every connector without a key"


@dataclass(frozen=True, kw_only=True)
class System:
    """
    One system.

    Attributes:
        name: What the table calls it.
        task: The template.
        vendor: Its service.
        by: The package with its connector.
        home: The fixture of the process that its connector is in.
        checked: What its requests are checked against.
        inputs: Of the task.
        outputs: Of a job that succeeds.
        user_words: What a failure by the author's fault says.
        system_words: The same for one by the vendor's.
        system_is_retried: Whether that is told as such: RETRYABLE.
        jobs_of_a_lost_reply: How many jobs one create leaves whose answer is lost.
        knows_a_lost_reply: Whether the connector comes to know its job nevertheless.
        limits: For each case what cannot be had.
    """

    name: str
    task: str
    vendor: str
    by: str
    home: str = "flytekit_home"
    checked: str = "unchecked"
    inputs: Mapping[str, object] = field(default_factory=dict[str, object])
    outputs: Mapping[str, object] = field(default_factory=dict[str, object])
    user_words: str
    system_words: str
    system_is_retried: bool = False
    jobs_of_a_lost_reply: int = 1
    knows_a_lost_reply: bool = False
    limits: Mapping[str, str] = field(default_factory=dict[str, str])

    def parameter(self) -> object:
        """Make a parameter of tests, with its marks."""
        marks = pytest.mark.reaches(self.name, how="stock", by=self.by, checked=self.checked, limits=dict(self.limits))
        name = f"{self.name}-flyte2" if self.home.startswith("flyte2") else self.name
        return pytest.param(self, id=name, marks=marks)


OPENAI = System(
    name="openai-batch",
    task="openai-batch",
    vendor="openai",
    by="flytekitplugins-openai",
    checked="unchecked; made by OpenAI's own client",
    inputs={"input_file_id": "file-1"},
    user_words="line 3 is no request",
    system_words="the machines are away",
    jobs_of_a_lost_reply=2,
    knows_a_lost_reply=True,
    limits={
        "system failure": BLAMES,
        "garbage": RAISES,
        "lost reply": "OpenAI's client sends it again by itself: two batches of one attempt, the first known to nobody",
    },
)

DATABRICKS = System(
    name="databricks",
    task="databricks",
    vendor="databricks",
    by="flytekitplugins-spark",
    inputs={"n": 3},
    user_words="division by zero",
    system_words="the cluster was lost",
    system_is_retried=True,
    limits={
        "system failure": "told as one that may be retried, and of the user's",
        "garbage": RAISES,
        "lost reply": UNKNOWN,
    },
)
BIGQUERY = System(
    name="bigquery",
    task="bigquery",
    vendor="bigquery",
    by="flytekitplugins-bigquery",
    checked="Google's discovery document",
    inputs={"length": 7, "language": "eo"},
    outputs={"results": "bq://a-project:_anon.t1"},
    user_words="no such column",
    system_words="backendError",
    knows_a_lost_reply=True,
    limits={
        "user failure": LOGS,
        "system failure": BLAMES,
        "garbage": RAISES,
    },
)

SNOWFLAKE = System(
    name="snowflake",
    task="snowflake",
    vendor="snowflake",
    by="flytekitplugins-snowflake",
    home="snowflake_home",
    checked="unchecked; made by Snowflake's own client, run by fakesnow",
    inputs={"name": "O'Brien", "least": 2},
    user_words="says that the job failed, and not why",
    system_words="says that the job failed, and not why",
    knows_a_lost_reply=True,
    limits={
        "succeed": "with the connector in process: it puts a literal among its outputs, which flytekit's own server "
        "pickles, and the outputs of the task are not as declared",
        "user failure": f"{LOGS}; and the connector does not say why, though Snowflake does",
        "system failure": f"{BLAMES}, and does not say why",
        "outage": HOLDS_UP,
        "garbage": HOLDS_UP,
        "lost reply": "Snowflake's client sends it again with the number of the first request, which Snowflake knows",
    },
)

SAGEMAKER = System(
    name="sagemaker-endpoint",
    task="sagemaker-endpoint",
    vendor="amazon",
    by="flytekitplugins-awssagemaker",
    home="amazon_home",
    checked="botocore's model of sagemaker; moto",
    inputs={"name": "serving"},
    outputs={"result": {"EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/serving-97b79d2f587eebea"}},
    user_words="did not pass the ping check",
    system_words="no machines are left",
    knows_a_lost_reply=True,
    limits={
        "system failure": BLAMES,
        "garbage": RAISES,
        "lost reply": "an endpoint of the name that is there already is taken for the task's own, whoever made it",
    },
)

MMCLOUD = System(
    name="mmcloud",
    task="mmcloud",
    vendor="mmcloud",
    by="flytekitplugins-mmcloud",
    checked="unchecked; its command line `float` is a program of the tests",
    inputs={"n": 3},
    user_words="",
    system_words="",
    limits={
        "user failure": "told without a reason",
        "system failure": f"{BLAMES}, and tells no reason",
        "garbage": RAISES,
        "lost reply": UNKNOWN,
    },
)
PERIAN = System(
    name="perian",
    task="perian",
    vendor="perian",
    by="flytekitplugins-perian-job",
    home="perian_home",
    checked="perian 0.5.3 (its own client): each request and answer is compared with what it sends and reads",
    inputs={"n": 3},
    user_words="division by zero",
    system_words="",
    limits={
        "start": "only with PERIAN's client below 0.3: the connector asks for any as of 0.2.7, but beside 0.3.1 and "
        "later, which have no JobStatus, neither it nor flytekit can be imported",
        "system failure": f"{BLAMES}, and tells the log of the job, but not what PERIAN says of it (`errors`)",
        "garbage": RAISES,
        "lost reply": UNKNOWN,
    },
)
DATABRICKS2 = replace(DATABRICKS, by="flyteplugins-databricks", home="flyte2_home")
BIGQUERY2 = replace(
    BIGQUERY,
    by="flyteplugins-bigquery",
    home="flyte2_home",
    limits={"system failure": BLAMES, "garbage": RAISES},
)
SNOWFLAKE2 = replace(
    SNOWFLAKE,
    by="flyteplugins-snowflake",
    home="flyte2_snowflake_home",
    user_words="invalid identifier",
    system_words="an incident of ours",
    limits={
        "system failure": BLAMES,
        "outage": THREADS,
        "garbage": THREADS,
        "lost reply": SNOWFLAKE.limits["lost reply"],
    },
)

SYSTEMS = (OPENAI, DATABRICKS, BIGQUERY, SNOWFLAKE, SAGEMAKER, MMCLOUD, PERIAN, DATABRICKS2, BIGQUERY2, SNOWFLAKE2)
