"""
Snowflake, as its own client for Python talks to it; the statements are run by fakesnow, which is DuckDB within.

The client always goes to ``<account>.snowflakecomputing.com`` over TLS: here through a proxy, by ``HTTPS_PROXY``, and
it trusts our authority by ``REQUESTS_CA_BUNDLE``. fakesnow has no statements that run in the background: that part of
the service is here.
"""

from __future__ import annotations

import gzip
import itertools
import json
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import Any, cast
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.stock.connect_proxy import ConnectProxy
from tests.stock.environments import python_of
from tests.stock.vendor import Job, Reply, Request, Vendor
from tests.support.pki import Authority
from tests.support.programs import Program

DOMAIN = "snowflakecomputing.com"
IN_BACKGROUND = "333334"
_PATIENCE_SECONDS = 60.0


class Snowflake(Vendor):
    """
    Every account of Snowflake's. The jobs are the statements that run in the background.

    Attributes:
        is_prompt: Statements are run when they come, and not by ``finish``.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        super().__init__(authority.sign("snowflake", "snowflake", hosts=[f"*.{DOMAIN}"]))
        self._proxy = ConnectProxy(DOMAIN, self.port)
        self._engine: _Engine | None = None

    def reset(self) -> None:
        super().reset()
        self._asked: dict[str, str] = {}
        self._results: dict[str, Any] = {}
        self.is_prompt = False

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        self._proxy.close()
        if self._engine is not None:
            self._engine.close()

    def addresses(self) -> dict[str, str]:
        """Name the variables by which Snowflake's client comes here."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._proxy.port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self._authority.cert),
            "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
        }

    def variables(self) -> dict[str, str]:
        return self.addresses() | {
            "_FSEC_SNOWFLAKE_PRIVATE_KEY": self.key,  # the connector's
            "_FSEC_PRIVATE-KEY_SNOWFLAKE": self.key,  # of what reads results
        }

    @property
    def key(self) -> str:
        """The user's private key."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def secret(self) -> str:
        """A line of it."""
        return self.key.splitlines()[3]

    def begin(self) -> None:
        """Have begun what runs SQL, which takes seconds."""
        if self._engine is None:
            self._engine = _Engine(self._authority.folder)

    def run(self, statement: str) -> dict[str, Any]:
        """Run a statement at once, as by somebody else; returns the service's answer."""
        self.begin()
        assert self._engine is not None
        return self._engine.run(statement)

    def is_create(self, request: Request) -> bool:
        return request.path == "/queries/v1/query-request" and bool(_body(request).get("asyncExec"))

    def answer(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if request.path == "/session/v1/login-request":
            return self._log_in(_body(request)["data"])
        if parts[0] == "telemetry":
            return _well(None)
        if request.headers.get("authorization") != 'Snowflake Token="a-session"':
            return _badly("390104", "you have to log in")
        match request.method, parts:
            case "POST", ["session", *_]:
                return _well(None)
            case "POST", ["queries", "v1", "query-request"]:
                return self._query(_body(request), request.query["requestId"])
            case "GET", ["monitoring", "queries", name]:
                return _well({"queries": [self._told(self.jobs[name])] if name in self.jobs else []})
            case "GET", ["queries", name, "result"] if name in self._results:
                return Reply(body=self._results[name])
            case _:
                return Reply(status=404, body={"success": False, "message": f"there is no {request.path}"})

    def finish(self, job: Job) -> None:
        """Have the statement run; when it is wrong, that is how it ends."""
        told = self.run(job.asked)
        self._results[job.id] = told
        job.status = "SUCCESS" if told["success"] else "FAILED_WITH_ERROR"
        job.message = "" if told["success"] else told["message"]

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "FAILED_WITH_INCIDENT" if system else "FAILED_WITH_ERROR"
        job.message = "an incident of ours" if system else "SQL compilation error: invalid identifier"

    def is_cancelled(self, job: Job) -> bool:
        return job.status == "ABORTED"

    def _log_in(self, data: dict[str, Any]) -> Reply:
        """Take a token that the user's key has signed, as Snowflake's description of key pairs has it."""
        account, user = data["ACCOUNT_NAME"].upper(), data["LOGIN_NAME"].upper()
        try:
            claims = jwt.decode(data["TOKEN"], self._key.public_key(), algorithms=["RS256"])
        except jwt.PyJWTError as error:
            return _badly("390144", f"JWT token is invalid: {error}")
        if data["AUTHENTICATOR"] != "SNOWFLAKE_JWT" or claims["sub"] != f"{account}.{user}":
            self.complaints.append(f"{claims['sub']} logs in as {user} of {account}")
        session = {"databaseName": "D", "schemaName": "S", "warehouseName": "W", "roleName": "PUBLIC"}
        told = {"token": "a-session", "masterToken": "its-master", "parameters": [], "sessionInfo": session}
        return _well({**told, "serverVersion": "9.9.9", "validityInSeconds": 3600, "masterValidityInSeconds": 14400})

    def _query(self, body: dict[str, Any], request_id: str) -> Reply:
        statement = str(body["sqlText"])
        if statement.startswith("SELECT SYSTEM$CANCEL_QUERY("):
            job = self.jobs[statement.split("'")[1]]
            job.status = "ABORTED"
            return _rows("query terminated.")
        if statement.startswith("select * from table(result_scan("):
            return Reply(body=self._results[statement.split("'")[1]])
        if not body.get("asyncExec"):
            return Reply(body=self.run(statement))
        if request_id not in self._asked:  # the same request that comes again is not another statement
            job = self.make(str(uuid4()), "RUNNING", statement)
            self._asked[request_id] = job.id
            if self.is_prompt:
                self.finish(job)
        name = self._asked[request_id]
        told = {"queryId": name, "getResultUrl": f"/queries/{name}/result", "queryAbortsAfterSecs": 300}
        return Reply(
            body={"success": True, "code": IN_BACKGROUND, "message": "Query execution in progress", "data": told}
        )

    def _told(self, job: Job) -> dict[str, object]:
        job.polls += 1
        failed = {"errorCode": "000904", "errorMessage": job.message} if job.message else {}
        return {"id": job.id, "status": job.status, "state": job.status, "sqlText": job.asked, **failed}


class _Engine:
    """A fakesnow, with one session."""

    def __init__(self, folder: Path) -> None:
        with closing(socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(python_of("snowflake")), "-m", "uvicorn", "fakesnow.server:app", "--port", str(port)]
        self._program = Program(command, folder / "fakesnow.log", {"HOME": str(folder)})
        self._url, self._numbers = f"http://127.0.0.1:{port}", itertools.count()
        self._token = ""
        self._program.start()

    def run(self, statement: str) -> dict[str, Any]:
        """Run a statement; returns Snowflake's answer to it."""
        self._token = self._token or self._log_in()
        path = f"/queries/v1/query-request?requestId={next(self._numbers)}"
        return self._send(path, {"sqlText": statement}, f'Snowflake Token="{self._token}"')

    def close(self) -> None:
        self._program.stop(hard=True)

    def _log_in(self) -> str:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                told = self._send(
                    "/session/v1/login-request?databaseName=D&schemaName=S", {"data": {"SESSION_PARAMETERS": {}}}
                )
            except OSError:
                self._program.check()
                assert time.monotonic() < until, "fakesnow does not begin"
                time.sleep(0.05)
            else:
                return str(told["data"]["token"])

    def _send(self, path: str, body: object, authorization: str = "") -> dict[str, Any]:
        request = urllib.request.Request(f"{self._url}{path}", data=json.dumps(body).encode(), method="POST")
        request.add_header("content-type", "application/json")
        if authorization:
            request.add_header("authorization", authorization)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return cast("dict[str, Any]", json.load(answer))


def _body(request: Request) -> dict[str, Any]:
    body = request.body
    return cast("dict[str, Any]", json.loads(gzip.decompress(body)) if isinstance(body, bytes) else body)


def _well(data: object) -> Reply:
    return Reply(body={"success": True, "code": None, "message": None, "data": data})


def _badly(code: str, message: str) -> Reply:
    return Reply(body={"success": False, "code": code, "message": message, "data": {}})


def _rows(text: str) -> Reply:
    column = {"name": "status", "type": "text", "length": 64, "byteLength": 64, "nullable": True}
    told = {"rowtype": [{**column, "precision": None, "scale": None}], "rowset": [[text]], "total": 1, "returned": 1}
    return _well(
        {**told, "parameters": [], "queryId": str(uuid4()), "queryResultFormat": "json", "statementTypeId": 4096}
    )
