"""
The one writer: it takes what waits, judges it, brings it to the disk and answers; and it tidies up in pauses.

All of it runs on the loop but the jobs it hands to the runner, one at a time. While one is out nothing is
judged, so a group always begins from what is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TypeVar, final

from airscrew.state.errors import StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.feed import Feed
from airscrew.state.leases import LeaseBook, LeaseTimer
from airscrew.state.sqlite.database import Database
from airscrew.state.sqlite.failures import translate
from airscrew.state.sqlite.group import Group, Request, Revoke, Transaction
from airscrew.state.sqlite.lookup import FileLookup
from airscrew.state.sqlite.reader import Reader
from airscrew.state.sqlite.rowcache import RowCache
from airscrew.state.sqlite.runner import Runner
from airscrew.state.sqlite.upkeep import Flush, Pack, Piece, Shrink, Standing, Sweep, next_piece, next_sacrifice
from airscrew.state.store import Event, TxnResult

GROUP_ROWS = 128
"""A group takes no more requests once it writes so many rows: judging must not hold the loop for long."""

AnswerT = TypeVar("AnswerT")
AnyRequest = Request[TxnResult] | Request[int] | Request[None]


@final
class Writer:
    """
    The queue, the group on its way, and the file.

    Attributes:
        flight: The group that is on its way to the disk; None while there is none.
        feed: What watches read from.
        cache: Committed rows in memory.
        book: The living leases.
        last_lease: The id of the lease that was granted last.
    """

    def __init__(self, database: Database, runner: Runner, book: LeaseBook) -> None:
        self.flight: Group | None = None
        self.feed = Feed(older=self._events)
        self.cache = RowCache(database.options.cache_bytes)
        self.book = book
        self.last_lease = 0
        self._lease_timer = LeaseTimer(book, self.expire)
        self._loop = asyncio.get_running_loop()
        self._database = database
        self._runner = runner
        self._options = database.options
        self._queue: deque[AnyRequest] = deque()
        self._reader: Reader | None = None
        self._busy = False
        self._scheduled = False
        self._closed = ""
        self._idle_timer: asyncio.TimerHandle | None = None
        self._last_group_at = 0.0
        self._tidied_last = False
        self._tidying_failed = False

    async def begin(self) -> None:
        """Open the file."""
        opened: asyncio.Future[None] = self._loop.create_future()

        def done(error: Exception | None) -> None:
            self._busy = False
            error = self._take_over() if error is None else error
            if not opened.done():
                opened.set_result(None) if error is None else opened.set_exception(self._translate(error))

        self._busy = True
        self._runner.submit(self._database.open, done)
        await opened
        self._next()

    async def drain(self) -> None:
        """Finish what was asked before."""
        with suppress(StoreError):
            await self.settle_queue()

    def end(self) -> None:
        """Refuse all that comes, and close the file after the job that is out."""
        self._closed = f"the store {self._database.path} is closed"
        self._lease_timer.cancel()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self.feed.close(self._closed)
        self._refuse_queue(StoreUnavailableError(self._closed))
        self._reader = None
        self._runner.stop(self._database.close)

    def check_open(self) -> None:
        """Raise once the store is closed."""
        if self._closed:
            raise StoreUnavailableError(self._closed)

    def ask(self, request: Request[AnswerT]) -> asyncio.Future[AnswerT]:
        """Put a request into the queue; its future is answered when its group is on the disk."""
        self.check_open()
        self._queue.append(request)  # type: ignore[arg-type]  # AnswerT is one of AnyRequest's
        self._schedule()
        return request.future

    async def settle_queue(self) -> None:
        """Wait until all that was asked before is answered; open the file again if it is not open."""
        await self.ask(Transaction(self._loop.create_future(), (), ()))

    async def read(self, read: Callable[[Reader], AnswerT]) -> AnswerT:
        """Read committed state from the file."""
        self.check_open()
        if self._reader is None:
            await self.settle_queue()
        if self._reader is None:
            raise StoreUnavailableError(f"the store {self._database.path} is not open")
        try:
            return read(self._reader)
        except sqlite3.Error as error:
            raise self._translate(error) from error

    # Leases that end by the clock.

    def expire(self) -> bool:
        """Ask for the end of the leases whose time is over and tell whether there were any."""
        if self._closed or self.book.seconds_left() > 0:
            return False
        due = self.book.due()
        for lease in due:
            request = Revoke(self._loop.create_future(), lease, self.book.is_due)
            self.ask(request).add_done_callback(partial(self._expired, lease))
        return bool(due)

    def _expired(self, lease: int, future: asyncio.Future[None]) -> None:
        """Try again a little later when a lease could not be ended."""
        if not future.cancelled() and future.exception() is not None:
            self.book.defer(lease)

    # One group after the other.

    def _schedule(self) -> None:
        if not self._busy and not self._scheduled:
            self._scheduled = True
            # Not at once: what else asks in this turn of the loop joins the group.
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Judge what waits and send it to the disk."""
        self._scheduled = False
        if self._busy or self._closed or not self._queue:
            return
        if self._reader is None:
            self._reopen(partial(self._retried, self._take_queue()))
            return
        lookup = FileLookup(self.cache, self._database)
        group = Group(self.feed.revision, lookup, self.book)
        try:
            lookup.look_ahead(key for request in islice(self._queue, GROUP_ROWS) for key in request.looks_up())
            self._judge(group)
        except sqlite3.Error as error:
            self._finish(group, self._translate(error))
            return
        if group.is_empty:
            self._finish(group, None)
            return
        self.flight = group
        self._submit(partial(self._database.write, group), partial(self._written, group))

    def _judge(self, group: Group) -> None:
        while self._queue and group.rows < GROUP_ROWS:
            request = self._queue.popleft()
            if not request.future.done():  # else its caller was cancelled while it waited: it never happens
                group.requests.append(request)
                request.judge(group)

    def _written(self, group: Group, error: Exception | None) -> None:
        """Hear how the group fared."""
        self._last_group_at = self._loop.time()
        self._tidied_last = False
        if error is None:
            self._accept(group)
            self._finish(group, None)
            return
        failure = self._translate(error)
        if isinstance(failure, StoreUnavailableError) and not self._closed:
            self._reopen(lambda _: self._finish(group, failure))
            return
        if isinstance(failure, StoreFullError) and not self._closed and self._make_room(group, failure):
            return
        self._finish(group, failure)

    def _accept(self, group: Group) -> None:
        """Make what is on the disk visible."""
        self._tidying_failed = False
        self.cache.update(group.overlay)
        self._database.newer.update(group.overlay, group.revision, group.rows)
        self.feed.publish(group.changes)
        if group.writes_rows_alone:
            return
        for lease in group.ended:
            self.book.end(lease)
        for lease, seconds in group.granted:
            self.book.begin(lease, seconds)
        self._lease_timer.arm()
        self.feed.compact(group.compacted)

    def _finish(self, group: Group, failure: StoreError | None) -> None:
        self.flight = None
        group.settle(failure)
        self._next()

    def _next(self) -> None:
        """Go on: with the next group, with tidying up, or to sleep."""
        self._busy = False
        if self._closed:
            return
        piece = None if self._tidied_last else self._due(idle=False)
        if piece is not None:
            self._tidy(piece)
        elif self._queue:
            self._schedule()
        elif self._idle_timer is None and self._due(idle=True) is not None:
            self._idle_timer = self._loop.call_later(self._options.idle_seconds, self._pause)

    def _submit(self, job: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        self._busy = True
        self._runner.submit(job, done)

    # After an error.

    def _reopen(self, then: Callable[[Exception | None], None]) -> None:
        """Trust nothing: open the file anew and read how it stands."""
        self._reader = None
        self.cache.clear()  # what the failed group wrote may be in the file, also if that cannot be opened again

        def done(error: Exception | None) -> None:
            then(self._take_over() if error is None else error)

        self._submit(self._database.reopen, done)

    def _retried(self, requests: Sequence[AnyRequest], error: Exception | None) -> None:
        """Go on with requests that came while the file was not open."""
        if error is None and not self._closed:
            self._queue.extendleft(reversed(requests))
        else:
            failure = StoreUnavailableError(self._closed) if error is None else self._translate(error)
            for request in requests:
                request.settle(failure)
        self._next()

    def _take_over(self) -> Exception | None:
        """Begin from what is in the file, and return why that cannot be read."""
        if self._closed:
            return None
        reader = self._database.reader
        assert reader is not None, "the file was opened"
        try:
            revision, compacted = reader.revision(), reader.meta("compacted")
            leases, last_lease = reader.leases(), reader.last_lease()
        except sqlite3.Error as error:
            return error
        self._reader = reader
        self.feed.reset(revision, compacted)
        self.cache.clear()
        self.book.begin_all(leases)
        self.last_lease = max(self.last_lease, last_lease)
        self._lease_timer.arm()
        return None

    def _take_queue(self) -> Sequence[AnyRequest]:
        requests = list(self._queue)
        self._queue.clear()
        return requests

    def _refuse_queue(self, error: StoreError) -> None:
        for request in self._take_queue():
            request.settle(error)

    def _translate(self, error: Exception) -> StoreError:
        return translate(error, self._database.path)

    def _events(self, first: int, stop: int, start: str, end: str) -> Sequence[Event]:
        """Read old events for the feed."""
        if self._reader is None:
            raise StoreUnavailableError(f"the store {self._database.path} is being opened again")
        try:
            return self._reader.events(first, stop, start, end)
        except sqlite3.Error as error:
            raise self._translate(error) from error

    # Tidying up.

    def _due(self, *, idle: bool) -> Piece | None:
        if self._tidying_failed:
            return None
        kept, flush_writes = self._options.keep_revisions, self._options.flush_writes
        return next_piece(self._standing(), keep_revisions=kept, flush_writes=flush_writes, idle=idle)

    def _standing(self) -> Standing:
        return Standing(
            revision=self.feed.revision,
            compacted=self.feed.compacted,
            swept=self._database.swept,
            gaps=self._database.gaps,
            free_pages=self._database.free_pages,
            unindexed=self._database.newer.writes,
        )

    def _pause(self) -> None:
        """Tidy up if nothing was asked for a while."""
        self._idle_timer = None
        if self._busy or self._queue or self._closed:
            return
        early = self._last_group_at + self._options.idle_seconds - self._loop.time()
        if early > 0:
            self._idle_timer = self._loop.call_later(early, self._pause)
        elif (piece := self._due(idle=True)) is not None:
            self._tidy(piece)

    def _tidy(self, piece: Piece) -> None:
        match piece:
            case Flush():
                job = self._database.flush
            case Sweep(last):
                self.feed.compact(last)  # before the rows go, so that no watch reads a history with gaps
                job = partial(self._database.sweep, last)
            case Pack():
                job = self._database.pack
            case Shrink(pages, is_last):
                job = partial(self._database.shrink, pages, fold=is_last)
        self._submit(job, self._tidied)

    def _tidied(self, error: Exception | None) -> None:
        self._tidied_last = True
        if error is not None:
            self._tidying_failed = True  # until a group can be written again
            if isinstance(self._translate(error), StoreUnavailableError) and not self._closed:
                self._reopen(lambda _: self._next())
                return
        else:
            self._database.forget_flushed()
        self._next()

    def _make_room(self, group: Group, failure: StoreFullError) -> bool:
        """Give up history for a group that found no room, then write it again; tell whether there was any."""
        piece = next_sacrifice(self._standing())
        if piece is None:
            return False

        def done(error: Exception | None) -> None:
            self._database.forget_flushed()
            if error is not None or self._closed:
                self._finish(group, failure)
            elif not self._make_room(group, failure):
                self._submit(partial(self._database.write, group), partial(self._written, group))

        self.feed.compact(piece.last)
        self._submit(partial(self._database.sweep, piece.last), done)
        return True
