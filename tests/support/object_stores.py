"""
Object stores on loopback: versitygw for S3, fake-gcs-server for Google, Azurite for Azure.

versitygw and Azurite check each request's signature as the clouds do; fake-gcs-server knows no identities, so what
stands before it in ``tests/cluster/storage`` refuses every bearer token but one. The first two are built from Go
modules, Azurite is installed by npm; all are kept in ``~/.cache/airscrew``. Where one cannot be had its tests are
skipped, and say so.
"""

from __future__ import annotations

import base64
import fcntl
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import pytest
from tests.support.etcd import free_port
from tests.support.go_modules import MODULES, CannotBuildError, build, kept_folder, run
from tests.support.pki import Authority
from tests.support.programs import Program

READY_SECONDS = 30.0
BUCKET = "test"
ACCOUNT = "devstoreaccount1"
KEY_ID = "airscrew-key"
SECRET = "airscrew-secret-of-these-tests"
AZURE_KEY = base64.b64encode(b"airscrew-key-of-these-tests".ljust(64, b"!")).decode()
NO_METADATA = {"GCE_METADATA_HOST": "127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
"""No test asks the machine that it runs on who it is."""


@dataclass(kw_only=True)
class ObjectStore:
    """
    A running store with one bucket.

    Attributes:
        name: ``s3``, ``gs`` or ``abfs``.
        command: What is run.
        folder: Where its files and its log are.
        host: The address that it listens on.
        port: Where it listens.
        base: The URI of its bucket.
        environ: What the environment says to whoever may read and write there.
        wrong: What it says to somebody with other credentials.
        secrets: What must be seen nowhere.
        variables: More of its own environment.
        ready: The path that is asked whether it serves.
        authority: Who vouches for it; over plain HTTP when nobody does.
    """

    name: str
    command: list[str]
    folder: Path
    host: str = "127.0.0.1"
    port: int
    base: str
    environ: Mapping[str, str]
    wrong: Mapping[str, str]
    secrets: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    ready: str
    authority: Path | None = None
    program: Program = field(init=False)

    def __post_init__(self) -> None:
        self.program = Program(self.command, self.folder / "log", self.variables)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.program.start()
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self.program.has_ended:
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.command[0]} did not come up: {self.program.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """End it, and wait until it has."""
        self.program.stop()

    def connect(self) -> HTTPConnection:
        """Make a connection to it."""
        if self.authority is None:
            return HTTPConnection(self.host, self.port, timeout=10)
        context = ssl.create_default_context(cafile=self.authority)
        return HTTPSConnection(self.host, self.port, timeout=10, context=context)

    def _answers(self) -> bool:
        connection = self.connect()
        try:
            connection.request("GET", self.ready)
            connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
        return True


def start_s3(folder: Path, host: str = "127.0.0.1") -> ObjectStore:
    port = free_port()
    endpoint = f"http://{host}:{port}"
    (folder / "objects" / BUCKET).mkdir(parents=True)
    return ObjectStore(
        name="s3",
        command=[_go_program("s3-server"), f"{host}:{port}", str(folder)],
        folder=folder,
        host=host,
        port=port,
        base=f"s3://{BUCKET}",
        environ=_s3_environ(endpoint, SECRET),
        wrong=_s3_environ(endpoint, "another"),
        secrets=(SECRET, "another"),
        variables={"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET},
        ready="/healthz",
    )


def _s3_environ(endpoint: str, secret: str) -> dict[str, str]:
    return {
        "FLYTE_AWS_ENDPOINT": endpoint,
        "FLYTE_AWS_ACCESS_KEY_ID": KEY_ID,
        "FLYTE_AWS_SECRET_ACCESS_KEY": secret,
        **NO_METADATA,
    }


def start_gs(folder: Path) -> ObjectStore:
    port = free_port()
    (folder / "objects" / BUCKET).mkdir(parents=True)
    environ = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", **NO_METADATA}
    return ObjectStore(
        name="gs",
        command=[_go_program("gcs-server"), f"127.0.0.1:{port}", str(folder / "objects")],
        folder=folder,
        port=port,
        base=f"gs://{BUCKET}",
        environ={**environ, "GOOGLE_BEARER_TOKEN": SECRET},
        wrong={**environ, "GOOGLE_BEARER_TOKEN": "another"},
        secrets=(SECRET, "another"),
        variables={"GCS_TOKEN": SECRET},
        ready="/_internal/healthcheck",
    )


def start_abfs(folder: Path, authority: Authority | None = None) -> ObjectStore:
    """Name Azurite's command; over TLS it takes the tokens of identities as well, whoever signed them."""
    port = free_port()
    own = authority.sign("azurite", "azurite", hosts=["127.0.0.1"]) if authority else None
    endpoint = f"{'https' if own else 'http'}://127.0.0.1:{port}/{ACCOUNT}"
    other = base64.b64encode(b"another".ljust(64, b"!")).decode()
    return ObjectStore(
        name="abfs",
        command=[
            *_azurite(),
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
            *(("--oauth", "basic", "--cert", str(own.cert), "--key", str(own.key)) if own else ()),
        ],
        folder=folder,
        port=port,
        base=f"abfs://{BUCKET}@{ACCOUNT}.dfs.core.windows.net",
        environ=_azure_environ(endpoint, AZURE_KEY),
        wrong=_azure_environ(endpoint, other),
        secrets=(AZURE_KEY, other),
        variables={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{AZURE_KEY}"},
        ready="/",
        authority=authority.cert if authority else None,
    )


def _azure_environ(endpoint: str, key: str) -> dict[str, str]:
    return {
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        **NO_METADATA,
    }


STORES: Mapping[str, Callable[[Path], ObjectStore]] = {"s3": start_s3, "gs": start_gs, "abfs": start_abfs}


@contextmanager
def running_store(name: str, folder: Path, authority: Authority | None = None) -> Iterator[ObjectStore]:
    """Run a store, Azure's over TLS when somebody vouches for it; skip the test when it cannot be had."""
    try:
        store = STORES[name](folder) if authority is None else start_abfs(folder, authority)
    except CannotBuildError as error:
        pytest.skip(f"NO {name.upper()} STORE TO TEST WITH: {error}")
    try:
        store.start()
        if name == "abfs":
            _create_container(store)
        yield store
    finally:
        store.stop()


def _create_container(store: ObjectStore) -> None:
    """Make Azure's container: by a request that a signature of the account goes with."""
    import hashlib
    import hmac
    from email.utils import formatdate

    date = formatdate(usegmt=True)
    path = f"/{ACCOUNT}/{BUCKET}"
    headers = f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
    text = "PUT" + "\n" * 12 + f"{headers}/{ACCOUNT}{path}\nrestype:container"
    digest = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)
    connection = store.connect()
    try:
        connection.request(
            "PUT",
            f"{path}?restype=container",
            headers={
                "x-ms-date": date,
                "x-ms-version": "2021-12-02",
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
                "Content-Length": "0",
            },
        )
        answer = connection.getresponse()
        assert answer.status == 201, f"no container: {answer.status} {answer.read()!r}"
    finally:
        connection.close()


def _go_program(name: str) -> str:
    return str(build("storage", programs=("s3-server", "gcs-server")) / name)


def _azurite() -> list[str]:
    """Return Azurite's command, installed when nobody did before."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CannotBuildError("Azurite runs on Node.js: install node and npm")
    source = MODULES / "azurite"
    lock_file = source / "package-lock.json"
    folder = kept_folder("azurite", lock_file.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    done = folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers installs, the others wait
        if not done.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder / name)
            failed = run([npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
            if failed:
                raise CannotBuildError(f"npm ci of Azurite failed: {failed}")
            done.touch()
    return [node, str(program)]


@pytest.fixture(scope="session")
def object_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ObjectStore]]:
    """Run a store when it is first asked for by its name; the tests of a worker share it."""
    with ExitStack() as stack:
        running: dict[str, ObjectStore] = {}

        def get(name: str) -> ObjectStore:
            if name not in running:
                folder = tmp_path_factory.mktemp(name) / name
                running[name] = stack.enter_context(running_store(name, folder))
            return running[name]

        yield get
