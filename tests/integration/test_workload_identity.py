"""
The identity of a workload instead of keys: what a cloud gives a Pod, exchanged for what the store takes.

Who exchanges is played here, on loopback, as the clouds describe it; the stores are real and refuse what is not signed
by the credentials that were handed out.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.object_stores import KEY_ID, SECRET, ObjectStore, running_store
from tests.support.pki import Authority
from typing_extensions import override

from airscrew.engine.data.errors import StorageDeniedError
from airscrew.engine.data.storage import Storage
from airscrew.engine.retries import RetryPolicy

ROLE = "arn:aws:iam::000000000000:role/airscrew"
TOKEN = "what-the-cluster-wrote-into-the-pod"
AT_ONCE = RetryPolicy(first_pause=0.0)
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "the-id-of-the-application"
_VARIABLES = (
    *("FLYTE_AWS_ACCESS_KEY_ID", "FLYTE_AWS_SECRET_ACCESS_KEY", "STORAGE_EMULATOR_HOST", "GOOGLE_BEARER_TOKEN"),
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_SECRET"),
)

# The store of these tests knows keys alone, no sessions: the clouds fill in a token as well.
_STS_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken></SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
_CONTAINER_ANSWER = (
    '{{"AccessKeyId": "{key}", "SecretAccessKey": "{secret}", "Token": "", "Expiration": "2100-01-01T00:00:00Z"}}'
)
_METADATA_ANSWER = '{{"access_token": "{secret}", "expires_in": 3600, "token_type": "Bearer"}}'


@dataclass
class Exchange:
    """
    Gives credentials to whoever shows the token of the workload.

    Attributes:
        answer: What is handed out.
        asked: The paths of the requests.
    """

    answer: str
    asked: list[str] = field(default_factory=list)

    def reply(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        self.asked.append(url.path)
        form = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        query, headers = parse_qs(url.query) | parse_qs(form), handler.headers
        if query.get("Action") == ["AssumeRoleWithWebIdentity"]:
            is_known = query["WebIdentityToken"] == [TOKEN] and query["RoleArn"] == [ROLE]
        elif "client_assertion" in query:
            is_known = query["client_assertion"] == [TOKEN] and query["client_id"] == [CLIENT]
        else:
            is_known = headers.get("Authorization") == TOKEN or headers.get("Metadata-Flavor") == "Google"
        body = self.answer.format(key=KEY_ID, secret=SECRET).encode() if is_known else b"no"
        handler.send_response(200 if is_known else 403)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def serving(exchange: Exchange, authority: Authority | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exchange.reply(self)

        do_POST = do_GET  # noqa: N815 - as the library calls it

        @override
        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if authority is not None:
            own = authority.sign("sts", "sts", hosts=["127.0.0.1"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(own.cert, own.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'http' if authority is None else 'https'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the cluster writes into a Pod; no keys are in the environment."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def s3(object_stores: Callable[[str], ObjectStore], monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    store = object_stores("s3")
    monkeypatch.setenv("FLYTE_AWS_ENDPOINT", store.environ["FLYTE_AWS_ENDPOINT"])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return store


async def test_a_role_of_the_pods_account_opens_s3(
    s3: ObjectStore, token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, exchange = Authority(tmp_path / "pki"), Exchange(_STS_ANSWER)
    with serving(exchange, authority) as url:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))

        await there_and_back(f"{s3.base}/irsa/file")

    assert len(exchange.asked) == 1, "the credentials are kept as long as they are valid"


async def test_a_role_that_is_not_given_is_said_without_the_token(
    s3: ObjectStore, token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "pki")
    with serving(Exchange(_STS_ANSWER), authority) as url:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/another")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))

        async with Storage(timeout=5.0, policy=AT_ONCE) as storage:
            with pytest.raises(StorageDeniedError, match="role of the workload") as refused:
                await storage.read(f"{s3.base}/irsa/file")

    assert TOKEN not in str(refused.value)


async def test_an_agent_of_the_node_opens_s3(s3: ObjectStore, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange(_CONTAINER_ANSWER)
    with serving(exchange) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))

        await there_and_back(f"{s3.base}/agent/file")

    assert exchange.asked == ["/v1/credentials"]


async def test_the_metadata_server_of_google_opens_a_bucket(
    object_stores: Callable[[str], ObjectStore], token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del token
    store, exchange = object_stores("gs"), Exchange(_METADATA_ANSWER)
    with serving(exchange) as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", store.environ["STORAGE_EMULATOR_HOST"])
        monkeypatch.setenv("GCE_METADATA_HOST", url.removeprefix("http://"))

        await there_and_back(f"{store.base}/identity/file")

    assert any(path.endswith("/token") for path in exchange.asked)


AzureStore = tuple[ObjectStore, Authority]


@pytest.fixture(scope="module")
def azure_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureStore]:
    """Azure's store over TLS, where it takes the tokens of identities."""
    folder = tmp_path_factory.mktemp("azure")
    authority = Authority(folder / "pki")
    with running_store("abfs", folder / "abfs", authority) as store:
        yield store, authority


@pytest.fixture
def azure(azure_store: AzureStore, token: Path, monkeypatch: pytest.MonkeyPatch) -> AzureStore:
    """Azure's store without a key, and what AKS sets in a Pod whose account has an identity."""
    store, authority = azure_store
    for name in ("AZURE_STORAGE_ENDPOINT", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.setenv(name, store.environ[name])
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    return azure_store


async def test_the_identity_of_an_application_opens_azure(azure: AzureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store, authority = azure
    exchange = Exchange(_azure_answer(f"https://sts.windows.net/{TENANT}/"))
    with serving(exchange, authority) as url:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)

        await there_and_back(f"{store.base}/identity/file")

    assert exchange.asked == [f"/{TENANT}/oauth2/v2.0/token"], "the token is kept as long as it is valid"


async def test_what_azure_does_not_take_is_said_without_the_token(
    azure: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, authority = azure
    answer = _azure_answer("https://somebody-else.example/")
    with serving(Exchange(answer), authority) as url:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)

        async with Storage(timeout=5.0, policy=AT_ONCE) as storage:
            with pytest.raises(StorageDeniedError) as refused:
                await storage.write(f"{store.base}/identity/file", b"")

    assert json.loads(answer.replace("{{", "{").replace("}}", "}"))["access_token"] not in str(refused.value)


async def test_an_application_that_azure_does_not_know_is_refused_by_name_of_the_store(
    azure: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, authority = azure
    with serving(Exchange(_azure_answer("https://sts.windows.net/")), authority) as url:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)
        monkeypatch.setenv("AZURE_CLIENT_ID", "another")

        async with Storage(timeout=5.0, policy=AT_ONCE) as storage:
            with pytest.raises(StorageDeniedError, match="identity of the workload") as refused:
                await storage.read(f"{store.base}/identity/file")

    assert TOKEN not in str(refused.value)


def _azure_answer(issuer: str) -> str:
    """Make what Microsoft answers: a token whose signature the store of these tests does not look at."""
    now = int(time.time())
    claims = {"aud": "https://storage.azure.com", "iss": issuer, "iat": now, "nbf": now - 60, "exp": now + 3600}
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    answer = json.dumps({"access_token": f"{signed}.c2lnbmF0dXJl", "expires_in": 3600, "token_type": "Bearer"})
    return answer.replace("{", "{{").replace("}", "}}")


async def there_and_back(uri: str) -> None:
    async with Storage(timeout=5.0, policy=AT_ONCE) as storage:
        await storage.write(uri, b"what the task made")
        assert await storage.read(uri) == b"what the task made"
