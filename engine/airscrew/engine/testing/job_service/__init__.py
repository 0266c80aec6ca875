"""
A job service to test executors against: it fails on demand and keeps its own log of what happened.

Guarantees:

1. ``request`` behaves as a network would: it answers, or raises ``ConnectionRefusedError`` (nothing arrived),
   ``TimeoutError`` or ``ConnectionResetError`` (nobody knows).
2. What the log says is what happened, whatever the caller was told: a create whose reply was lost is there.
3. Where a job stands follows from the clock alone; nothing runs in the background.

Nothing here MUST forgive what a real service would not, or know which executor asks.

Requests are ``POST /jobs``, ``GET /jobs/{id}``, ``GET /jobs?ids=a,b``, ``GET /jobs?key=K``, ``DELETE /jobs/{id}``.
The body of a create may hold ``seconds`` (null: runs until it is cancelled), ``fail``, ``result``.

What it makes look easier than it is: it answers requests one at a time in the order of their arrival, and keeps a
key for ever unless ``key_window`` says otherwise. Over HTTP (``serve``) a refusal is a connection that is closed
without an answer, for a port that listens cannot refuse.
"""

from airscrew.engine.testing.job_service.jobs import Event, FakeJob, FakeReply, Fault, JobStatus
from airscrew.engine.testing.job_service.service import FakeJobService

__all__ = ["Event", "FakeJob", "FakeJobService", "FakeReply", "Fault", "JobStatus"]
