"""
Whatever a webhook calls: each call is a job that is over when it is answered.
"""

from __future__ import annotations

import itertools

from tests.stock.vendor import Job, Reply, Request, Vendor


class Hook(Vendor):
    """
    A service with one address.

    Attributes:
        status: What it answers with.
    """

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count()
        self.status = 200

    def is_create(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Reply:
        if request.headers.get("x-kind") != "test":
            self.complaints.append("the header is missing")
        if self.status == 200:
            self.make(f"call-{next(self._numbers)}", "done", request.body)
        return Reply(status=self.status, body={"said": "thanks" if self.status == 200 else "no thanks"})

    def finish(self, job: Job) -> None:
        """Nothing to do: it is over."""

    def fail(self, job: Job, *, system: bool) -> None:
        """Nothing to do: it is over."""
