"""
What flytekit's PERIAN connector asks for, and what it cannot do.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import Stock
from tests.stock.environments import python_of
from tests.stock.systems import PERIAN
from tests.stock.vendor import Request
from tests.stock.vendors.perian import ORGANIZATION, OVER, STORAGE, TOKEN, Perian
from tests.support.literal_maps import literals

from airscrew.engine.executor import Gone
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

LIMIT = 30.0
WORDS = 'it\'s "so"; $(reboot) {{.inputs.words}}'
pytestmark = pytest.mark.reaches("perian", how="stock", by=PERIAN.by, checked=PERIAN.checked)
Environment = ExecutorEnvironment[Any]


@pytest.fixture
def stock(perian_home: Stock) -> Stock:
    return perian_home


@pytest.fixture
def vendor(stock: Stock) -> Perian:
    found = stock.vendors["perian"]
    assert isinstance(found, Perian)
    return found


@pytest.fixture
def environment(stock: Stock, tmp_path: Path) -> Environment:
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"perian": stock.service}},
        state_directory=str(tmp_path / "state"),
        root=(tmp_path / "data").as_uri(),
    )


async def started(environment: Environment, stock: Stock, task: str, **inputs: object) -> Attempt[Any]:
    given = literals(**{name: (value, type(value)) for name, value in inputs.items()})
    attempt = environment.attempt(stock.templates[task], given, name=f"task-{uuid4().hex}")
    await attempt.start()
    return attempt


async def test_a_function_is_asked_for_with_its_machine_its_command_and_the_credentials_of_its_storage(
    environment: Environment, stock: Stock, vendor: Perian
) -> None:
    async with environment:
        await started(environment, stock, "perian", n=3)

    asked = vendor.job.asked
    run, wanted = asked["docker_run_parameters"], asked["requirements"]
    assert (wanted["cpu"]["cores"], wanted["ram"]["size"]) == (2, 4)
    assert (wanted["region"]["location"], wanted["provider"]["name_short"]) == ("DE", "aws")
    assert (run["image_name"], run["image_tag"]) == ("example/image", "v1")
    assert run["command"].startswith("pyflyte-execute --inputs ")
    assert "{{" not in run["command"]
    assert run["secrets"] == STORAGE
    assert run["env_variables"] == {"KIND": "test"}
    assert vendor.complaints == []
    assert not any(secret in stock.log.read_text() for secret in (TOKEN, *STORAGE.values()))


async def test_a_container_is_asked_for_with_its_accelerator_and_an_input_is_one_word_of_its_command(
    environment: Environment, stock: Stock, vendor: Perian
) -> None:
    async with environment:
        await started(environment, stock, "perian-container", words=WORDS)

    asked = vendor.job.asked
    run, accelerator = asked["docker_run_parameters"], asked["requirements"]["accelerator"]
    assert shlex.split(run["command"]) == ["echo", WORDS, "an end"]
    assert run["image_name"] == "an/image"
    assert (accelerator["no"], accelerator["name"]) == (1, "A100")
    assert asked["os_storage_config"] == {"size": 60}
    assert vendor.complaints == []


@pytest.mark.shows(
    "system failure",
    limit="a job whose time is up (`Timeout`): the connector has no word for it (it raises KeyError), so that it looks "
    "like an outage, and a kill is not confirmed either",
)
async def test_a_job_whose_time_is_up_looks_like_an_outage(
    environment: Environment, stock: Stock, vendor: Perian
) -> None:
    async with environment:
        attempt = await started(environment, stock, "perian", n=3)
        vendor.job.status = "Timeout"
        end = time.monotonic() + LIMIT
        while "not heard of it since" not in (status := await attempt.check()).reason:
            assert time.monotonic() < end, status.reason
            await attempt.pause(0.1)
        with pytest.raises(ConnectorError, match="GetTask"):
            await attempt.kill()

    assert not status.phase.is_terminal
    assert "Timeout" in status.reason
    assert vendor.refused == [OVER]


@pytest.mark.shows("kill")
async def test_the_kill_of_a_job_that_is_over_is_done_although_it_is_refused(
    environment: Environment, stock: Stock, vendor: Perian
) -> None:
    async with environment:
        attempt = await started(environment, stock, "perian", n=3)
        vendor.finish(vendor.job)

        assert isinstance(await attempt.kill(), Gone)

    assert vendor.refused == [OVER]
    assert vendor.complaints == []


@pytest.mark.shows("start", limit=PERIAN.limits["start"])
def test_the_connector_cannot_be_imported_with_the_newest_client() -> None:
    newest = python_of("perian").parents[1].glob("lib/python*/site-packages")
    done = subprocess.run(
        [str(python_of("flytekit")), "-c", "import flytekit"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, newest))},
    )

    assert done.returncode != 0
    assert "ImportError: cannot import name 'JobStatus' from 'perian'" in done.stderr


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"auto_failover_instance_type": True}, ""),
        (
            {"auto_failover_instance_type": True, "speed": 3},
            "the body is {'auto_failover_instance_type': True, 'speed'",
        ),
        ({"os_storage_config": {"size": "large"}}, "Input should be a valid integer"),
    ],
    ids=["well", "unknown", "mistyped"],
)
def test_a_request_that_the_newest_client_would_not_send_is_complained_of(
    stock: Stock, vendor: Perian, body: object, complaint: str
) -> None:
    headers = {"accept": "application/json", "content-type": "application/json"}
    headers |= {"x-perian-auth-org": ORGANIZATION, "authorization": f"Bearer {TOKEN}"}

    vendor.answer(Request(method="POST", path="/job", query={}, headers=headers, body=body))

    assert len(vendor.complaints) == bool(complaint)
    assert complaint in "".join(vendor.complaints)
