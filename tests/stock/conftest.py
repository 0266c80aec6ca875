"""
The vendors' services, and one server of the stock connectors that is told to talk to them.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from tests.stock.environments import python_of, templates_of
from tests.stock.vendor import Vendor
from tests.stock.vendors.airbyte import Airbyte
from tests.stock.vendors.amazon import Amazon
from tests.stock.vendors.bigquery import BigQuery
from tests.stock.vendors.databricks import TOKEN as DATABRICKS_TOKEN
from tests.stock.vendors.databricks import Databricks
from tests.stock.vendors.hook import Hook
from tests.stock.vendors.mmcloud import MemoryMachine
from tests.stock.vendors.openai import OpenAi
from tests.stock.vendors.perian import Perian
from tests.stock.vendors.snowflake import Snowflake
from tests.support.pki import Authority
from tests.support.programs import die_with_us

from airscrew.idl.template import TaskTemplate
from airscrew.plugins import connector

CHILD = Path(connector.__file__).with_name("child.py")


@dataclass(frozen=True, kw_only=True)
class Stock:
    """
    Stock connectors at work.

    Attributes:
        service: The configuration of the executor's service.
        templates: Tasks for them.
        vendors: What they talk to.
        log: What their process says.
        secrets: What the service's configuration names.
    """

    service: dict[str, object]
    templates: dict[str, TaskTemplate]
    vendors: dict[str, Vendor]
    log: Path
    secrets: dict[str, str] = field(default_factory=dict[str, str])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the vendors that want TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def vendors(authority: Authority) -> Iterator[dict[str, Vendor]]:
    tls = authority.sign("vendor", "vendor", hosts=["127.0.0.1"])
    with ExitStack() as stack:
        bigquery = BigQuery()
        bigquery.write_account(authority.folder)
        made: dict[str, Vendor] = {
            "hook": Hook(),
            "openai": OpenAi(),
            "databricks": Databricks(tls),
            "bigquery": bigquery,
            "amazon": Amazon(),
            "airbyte": Airbyte(),
            "snowflake": Snowflake(authority),
            "mmcloud": MemoryMachine(),
        }
        for each in made.values():
            stack.enter_context(each)
        yield made


@pytest.fixture(autouse=True)
def _fresh_vendors(request: pytest.FixtureRequest) -> None:
    if "stock" in request.fixturenames:
        for each in request.getfixturevalue("vendors").values():
            each.reset()


@pytest.fixture(scope="session")
def stock(flytekit_home: Stock) -> Stock:
    """Where most of flytekit's connectors are at work."""
    return flytekit_home


@pytest.fixture(scope="session")
def flytekit_home(
    vendors: dict[str, Vendor], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stock]:
    """flytekit's connectors, in the environment that has their packages."""
    here = (each for each in vendors.values() if not isinstance(each, Snowflake | Perian))
    variables = {name: value for each in here for name, value in each.variables().items()}
    variables |= {"SSL_CERT_FILE": str(authority.cert)}
    folder, templates = tmp_path_factory.mktemp("stock"), templates_of("flytekit")
    with serving("flytekit", "flytekit", folder, variables) as service:
        yield Stock(service=service, templates=templates, vendors=vendors, log=folder / "log")


@pytest.fixture(scope="session")
def amazon_home(flytekit_home: Stock) -> Stock:
    """The same, with Amazon's services."""
    vendor = flytekit_home.vendors["amazon"]
    assert isinstance(vendor, Amazon)
    vendor.begin()
    return flytekit_home


@pytest.fixture(scope="session")
def airflow_home(vendors: dict[str, Vendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """Airflow's operators and sensors, whose packages go with nobody else's."""
    folder, templates = tmp_path_factory.mktemp("airflow"), templates_of("airflow")
    variables = vendors["airbyte"].variables() | {"AIRFLOW_HOME": str(folder)}
    with serving("airflow", "flytekit", folder, variables) as service:
        yield Stock(service=service, templates=templates, vendors=vendors, log=folder / "log")


@pytest.fixture(scope="session")
def snowflake_home(vendors: dict[str, Vendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """
    Snowflake's connector, by itself: it waits on the loop of its process, and holds up whoever is there with it.

    It also needs a proxy that is for it alone.
    """
    vendor = vendors["snowflake"]
    assert isinstance(vendor, Snowflake)
    vendor.begin()
    folder, templates = tmp_path_factory.mktemp("snowflake"), templates_of("snowflake")
    variables = vendor.variables()
    with serving("snowflake", "flytekit", folder, variables) as service:
        impatient = {**service, "timeout": 1.5}  # it is not heard in an outage
        yield Stock(service=impatient, templates=templates, vendors=vendors, log=folder / "log")


@pytest.fixture(scope="session")
def perian_home(
    vendors: dict[str, Vendor], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stock]:
    """PERIAN's connector, by itself: its creates wait on the loop of its process, whose hosts are its own."""
    folder, templates = tmp_path_factory.mktemp("perian"), templates_of("flytekit")
    with Perian(authority) as vendor:
        vendors["perian"] = vendor  # not among the others, as it takes root
        runner = vendor.where_it_is_found(folder)
        with serving("flytekit", "flytekit", folder, vendor.variables(), runner=runner) as service:
            yield Stock(service=service, templates=templates, vendors=vendors, log=folder / "log")


@contextmanager
def serving(
    environment: str,
    sdk: str,
    folder: Path,
    variables: dict[str, str],
    modules: list[str] | None = None,
    runner: Sequence[str] = (),
    workers: int = 16,
) -> Iterator[dict[str, object]]:
    """
    Run the executor's own process of connectors for many tests, and say how it is reached.

    It takes many seconds to import what the vendors ship; a test that wants a process of its own configures one.

    Args:
        environment: Whose interpreter and packages it has.
        sdk: What the connectors are made with.
        folder: Its home.
        variables: More of its environment.
        modules: What it imports besides.
        runner: What its command line begins with, if the place it runs at is not the tests' own.
        workers: How many calls it serves at once.
    """
    token = secrets.token_urlsafe(16)
    (folder / "token").write_text(token)
    with tempfile.TemporaryDirectory(prefix="stock-", dir="/tmp") as short, (folder / "log").open("wb") as log:
        orders: dict[str, object] = {"token": token, "socket": f"{short}/s", "sdk": sdk, "workers": workers}
        orders |= {"modules": modules or [], "path": []}
        process = subprocess.Popen(
            [*die_with_us(), *runner, str(python_of(environment)), "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder), **variables},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(orders) + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"ready\n", (folder / "log").read_text()[-3000:]
            yield {
                "endpoint": f"unix:{short}/s",
                "token_file": str(folder / "token"),
                "protocol": "flyte2" if sdk == "flyte" else "flyte1",
                "interval": 0.2,
                "timeout": 5.0,
            }
        finally:
            process.stdin.close()
            process.kill()
            process.wait(timeout=10)
            process.stdout.close()


@pytest.fixture(scope="session")
def flyte2_home(
    vendors: dict[str, Vendor], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stock]:
    """Flyte 2's connectors, which are given the vendors' credentials with each call."""
    bigquery = vendors["bigquery"]
    assert isinstance(bigquery, BigQuery)
    variables = bigquery.variables() | vendors["databricks"].variables() | {"SSL_CERT_FILE": str(authority.cert)}
    secrets = {"vendors/google": bigquery.account.read_text(), "vendors/databricks": DATABRICKS_TOKEN}
    named = {"google_application_credentials": "vendors/google", "databricks_token": "vendors/databricks"}
    folder, templates = tmp_path_factory.mktemp("flyte2"), templates_of("flyte2")
    with serving("flyte2", "flyte", folder, variables) as service:
        given = {**service, "connection": {"secrets": named}}
        yield Stock(service=given, templates=templates, vendors=vendors, log=folder / "log", secrets=secrets)


@pytest.fixture
def flyte2_snowflake_home(vendors: dict[str, Vendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """
    Flyte 2's connector for Snowflake, anew for each test: it keeps one connection, and closes it with the first kill.
    """
    vendor = vendors["snowflake"]
    assert isinstance(vendor, Snowflake)
    vendor.begin()
    folder, templates = tmp_path_factory.mktemp("flyte2-snowflake"), templates_of("flyte2")
    secrets = {"vendors/snowflake": vendor.key}
    connection = {"secrets": {"snowflake_private_key": "vendors/snowflake"}}
    with serving("flyte2", "flyte", folder, vendor.addresses()) as service:
        given = {**service, "connection": connection, "timeout": 1.5}  # it is not heard in an outage
        yield Stock(service=given, templates=templates, vendors=vendors, log=folder / "log", secrets=secrets)
