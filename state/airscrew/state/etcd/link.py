"""
The line to etcd: its members, who we are, and the calls.

Guarantees: a call is sent to one member at a time, and sent again only when the first one has certainly not
happened. After a failure the next member is asked from then on, by all. A login that has run out is renewed
once per call, whoever asks. Certificates are read again when their files have changed and a connection fails: what is
connected needs no new ones. Answers are etcd's messages, errors ``CallError``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreAccessError
from airscrew.state.etcd.address import EtcdAddress
from airscrew.state.etcd.failures import CallError, Trouble, classify
from airscrew.state.etcd.wire import Message, rpc

if TYPE_CHECKING:
    from grpc import ChannelCredentials

    from airscrew.state.etcd.options import EtcdOptions

Metadata: TypeAlias = tuple[tuple[str, str], ...]
Stub: TypeAlias = Any
"""One of aetcd's generated stubs, or a method of it."""

Channel: TypeAlias = Any
"""A channel of gRPC."""

_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


class _Member:
    """One member of the cluster and its stubs."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.kv: Stub = rpc.KVStub(channel)
        self.lease: Stub = rpc.LeaseStub(channel)
        self.watch: Stub = rpc.WatchStub(channel)
        self.auth: Stub = rpc.AuthStub(channel)
        self.maintenance: Stub = rpc.MaintenanceStub(channel)


Pick: TypeAlias = Callable[[_Member], Stub]
"""Chooses a method of a member."""


class Link:
    """
    A line to an etcd; ``async with`` it.

    Attributes:
        address: Where it is.
        closed: Whether it is closed.
    """

    def __init__(self, address: EtcdAddress, options: EtcdOptions) -> None:
        self.address = address
        self.closed = False
        self._seconds = options.call_seconds
        self._members: list[_Member] = []
        self._files: list[tuple[int, int]] = []
        self._current = 0
        self._metadata: Metadata = ()
        self._login = asyncio.Lock()

    async def __aenter__(self) -> Link:
        self._files = _stamps(self.address)
        self._members = [_Member(channel) for channel in _channels(self.address)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True
        for member in self._members:
            await member.channel.close()

    async def call(self, pick: Pick, request: Message, *, is_read: bool = False) -> Message:
        """
        Send a request and return the answer.

        A read that got none is asked of the other members too, each once.

        Args:
            pick: The method.
            request: Its message.
            is_read: Whether it changes nothing.

        Raises:
            CallError: It failed.
        """
        renewed = False
        tries = len(self._members)
        while True:
            number, metadata = self._current, await self._identity()
            try:
                return await self._once(pick(self._members[number]), request, metadata)
            except CallError as failure:
                tries -= await self._leave(number, failure)
                again = failure.trouble is Trouble.UNSENT or (is_read and failure.trouble is Trouble.AWAY)
                if failure.trouble is Trouble.TOKEN and self.address.user and not renewed:
                    renewed = True
                    self._forget(metadata)
                elif not again or tries <= 0:
                    raise

    @asynccontextmanager
    async def stream(self, pick: Pick, first: Message) -> AsyncIterator[Stub]:
        """
        Open a stream, send its first message, and yield it for ``receive``.

        Raises:
            CallError: It broke; the next one goes to another member.
        """
        number, metadata = self._current, await self._identity()
        # A member that has lost its leader ends the stream instead of falling silent.
        stream = pick(self._members[number])(metadata=(*metadata, ("hasleader", "true")))
        try:
            with _translating(self):
                await stream.write(first)
            yield stream
        except CallError as failure:
            await self._leave(number, failure)
            if failure.trouble is Trouble.TOKEN:
                self._forget(metadata)
            raise
        finally:
            stream.cancel()

    async def receive(self, stream: Stub) -> Message:
        """Return the next message of a stream."""
        with _translating(self):
            message = await stream.read()
        if not message:  # the mark of the end; a message is always true
            raise CallError(Trouble.AWAY, "the stream ended")
        return message

    async def _once(self, method: Stub, request: Message, metadata: Metadata) -> Message:
        with _translating(self):
            return await method(request, timeout=self._seconds, metadata=metadata)

    async def _leave(self, number: int, failure: CallError) -> bool:
        """Go over to the next member, unless somebody did; tell whether the failure was the member's."""
        is_members = failure.trouble in {Trouble.AWAY, Trouble.UNSENT}
        if is_members and number == self._current:
            self._current = (number + 1) % len(self._members)
        if is_members:
            await self._renew()
        return is_members

    async def _renew(self) -> None:
        """Connect anew when a file of the address has changed; files that cannot be read yet change nothing."""
        if not self.address.tls or self.closed:
            return
        try:
            files = _stamps(self.address)
            if files == self._files:
                return
            made = [_Member(channel) for channel in _channels(self.address)]
        except StoreAccessError:
            return
        old, self._members, self._files = self._members, made, files
        for member in old:
            await member.channel.close()

    async def _identity(self) -> Metadata:
        """Return who we are, logging in when that is needed."""
        if not self.address.user or self._metadata:
            return self._metadata
        async with self._login:
            tries = len(self._members)
            while not self._metadata:
                number = self._current
                request = rpc.AuthenticateRequest(name=self.address.user, password=self._password())
                try:
                    answer = await self._once(self._members[number].auth.Authenticate, request, ())
                except CallError as failure:
                    tries -= 1
                    if not await self._leave(number, failure) or not tries:
                        raise
                else:
                    self._metadata = (("token", answer.token),)
        return self._metadata

    def _password(self) -> str:
        try:
            return self.address.password(os.environ)
        except UsageError as error:
            raise CallError(Trouble.DENIED, str(error)) from error

    def _forget(self, metadata: Metadata) -> None:
        """Let the next call log in again, unless somebody did."""
        if self._metadata == metadata:
            self._metadata = ()


class _translating:  # noqa: N801  # read as a word: ``with _translating(link)``
    """Turns gRPC's errors into ``CallError``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __enter__(self) -> None:
        if self._link.closed:
            raise CallError(Trouble.AWAY, "it was closed")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from grpc import StatusCode
        from grpc.aio import AioRpcError
        from grpc.aio import UsageError as MisuseError

        if isinstance(error, AioRpcError):
            code: StatusCode = error.code()
            raise classify(code.name, error.details() or "") from None
        if isinstance(error, MisuseError):  # the channel was closed meanwhile
            raise CallError(Trouble.AWAY, str(error)) from None
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and not (task and task.cancelling()):
            raise CallError(Trouble.AWAY, "it was closed") from None  # by the channel's end, not by our task's


def _channels(address: EtcdAddress) -> list[Channel]:
    from grpc.aio import insecure_channel, secure_channel

    options: list[tuple[str, Any]] = list(_CHANNEL_OPTIONS)
    if not address.tls:
        return [insecure_channel(endpoint, options) for endpoint in address.endpoints]
    if address.server_name:
        options.append(("grpc.ssl_target_name_override", address.server_name))
    credentials = _credentials(address)
    return [secure_channel(endpoint, credentials, options) for endpoint in address.endpoints]


def _credentials(address: EtcdAddress) -> ChannelCredentials:
    from grpc import ssl_channel_credentials

    return ssl_channel_credentials(
        root_certificates=_file(address.ca),
        private_key=_file(address.key),
        certificate_chain=_file(address.cert),
    )


def _stamps(address: EtcdAddress) -> list[tuple[int, int]]:
    """Return what tells a later version of the address's files from an earlier one."""
    found: list[tuple[int, int]] = []
    for name in filter(None, (address.ca, address.cert, address.key)):
        with _readable(name):
            stat = Path(name).stat()
            found.append((stat.st_mtime_ns, stat.st_size))
    return found


def _file(name: str) -> bytes | None:
    if not name:
        return None
    with _readable(name):
        return Path(name).read_bytes()


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreAccessError(f"{name}, named in the etcd address, cannot be read: {error.strerror}") from error
