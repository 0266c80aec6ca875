"""
flytekit's connector for any call of Amazon's, with one that makes a model at SageMaker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stock.conftest import Stock
from tests.stock.test_calls import ONE_CALL, call
from tests.stock.vendors.amazon import Amazon
from tests.support.literal_maps import plain

from airscrew.engine.errors import RetryableError
from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.connector.errors import FailedError

RAISES = "the connector raises at it: an unknown start, or with `create_errors: failed` a failure of the user's"

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model"

pytestmark = pytest.mark.reaches(
    "boto",
    how="stock",
    by="flytekitplugins-awssagemaker",
    checked="botocore's model of sagemaker; moto",
    limits={
        "user failure": RAISES,
        "system failure": RAISES,
        "outage": RAISES,
        "garbage": "Amazon's client takes bytes that are no JSON for an empty answer: a success with nothing in it",
        "lost reply": "Amazon's client sends it again: done once where a name or a token tells the two apart, "
        "as here, and twice elsewhere",
    },
)


@pytest.fixture
def amazon(amazon_home: Stock) -> Amazon:
    found = amazon_home.vendors["amazon"]
    assert isinstance(found, Amazon)
    found.reset()
    return found


async def make_a_model(stock: Stock, folder: Path, **service: object) -> TaskStatus[Any]:
    return await call(stock, folder, "boto", service, name="a-model-of-ours")


@pytest.mark.shows("start", "succeed")
@pytest.mark.shows("poll", "kill", "restart", absent=ONE_CALL)
async def test_a_call_is_made_once_and_its_answer_is_the_output(
    amazon_home: Stock, amazon: Amazon, tmp_path: Path
) -> None:
    status = await make_a_model(amazon_home, tmp_path)

    assert status.phase is Phase.SUCCESS, status.reason
    assert plain(status.outputs)["result"] == {"ModelArn": f"{ARN}/a-model-of-ours"}
    assert amazon.job.asked["PrimaryContainer"] == {"Image": "an/image:v1"}
    assert amazon.complaints == []


@pytest.mark.shows("user failure", "system failure")
@pytest.mark.parametrize("answer", [(400, "ValidationException"), (500, "InternalFailure")])
async def test_what_amazon_refuses_is_told_as_the_configuration_has_it(
    amazon_home: Stock, amazon: Amazon, tmp_path: Path, answer: tuple[int, str]
) -> None:
    amazon.refuses = answer

    with pytest.raises(FailedError, match=rf"connector calls, ExecuteTaskSync: .*{answer[1]}"):
        await make_a_model(amazon_home, tmp_path)
    with pytest.raises(RetryableError, match="it is refused") as caught:
        await make_a_model(amazon_home, tmp_path, create_errors="failed")

    assert caught.value.kind is ErrorKind.USER
    assert not amazon.jobs


@pytest.mark.shows("outage")
async def test_an_outage_is_told(amazon_home: Stock, amazon: Amazon, tmp_path: Path) -> None:
    amazon.down = True

    with pytest.raises(FailedError, match="503"):
        await make_a_model(amazon_home, tmp_path)

    assert not amazon.jobs


@pytest.mark.shows("garbage")
async def test_garbage_is_a_call_without_a_result(amazon_home: Stock, amazon: Amazon, tmp_path: Path) -> None:
    amazon.is_mad = True

    status = await make_a_model(amazon_home, tmp_path)

    assert status.phase is Phase.SUCCESS, status.reason
    assert plain(status.outputs)["result"] == {"ModelArn": None}


@pytest.mark.shows("lost reply")
async def test_a_call_whose_answer_is_lost_is_made_once_of_one_name(
    amazon_home: Stock, amazon: Amazon, tmp_path: Path
) -> None:
    amazon.losing = 1

    status = await make_a_model(amazon_home, tmp_path)

    assert status.phase is Phase.SUCCESS, status.reason
    assert len(amazon.jobs) == 1
