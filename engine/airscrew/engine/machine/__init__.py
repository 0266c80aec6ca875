"""
The state machine of one execution: pure decisions over its record.

``next_action`` says what is to be done next; ``learn`` says what a result of a call makes of the record. The
controller carries out and writes. Nothing here MUST do I/O, read a clock, draw a random number, or await: time and
nonces come in as arguments, so that every path is a table of plain values in the tests, and a crash between any two
steps is only a shorter list of calls.

The rules, in the order in which they are asked:

1. requests of others (submit, kill, retry, a child that ended) are taken in;
2. a deadline that has passed gives a verdict, whatever the plugin does;
3. a start whose outcome is unknown is resolved before anything else goes on;
4. a quarantined execution waits;
5. the stage says the rest.

``next_action`` is asked again after each step, until it says ``Wait``.
"""

from airscrew.engine.machine.actions import (
    Action,
    AskNeeds,
    Begin,
    CacheLookup,
    CachePut,
    Call,
    Check,
    Finalize,
    FindJobs,
    KillChildren,
    KillJob,
    Start,
    Step,
    Sweep,
    TendChildren,
    Wait,
)
from airscrew.engine.machine.budget import deadlines, is_interruptible
from airscrew.engine.machine.decide import is_backing_off, next_action
from airscrew.engine.machine.facts import (
    CacheHeld,
    CacheHit,
    CacheMiss,
    CacheStored,
    CallFailed,
    ChildrenAtWork,
    Fact,
    Finalized,
    JobGone,
    JobsFound,
    JobStillThere,
    NeedsTold,
    NothingStarted,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    SweepFailed,
    Swept,
    Told,
)
from airscrew.engine.machine.learn import begin, learn
from airscrew.engine.machine.report import doubted_entry, late_entry, ledger_entry, open_entries, phase_event, tidied
from airscrew.engine.machine.sweeps import SWEEP
from airscrew.engine.machine.view import Policy, Traits, View, first_record

__all__ = [
    "SWEEP",
    "Action",
    "AskNeeds",
    "Begin",
    "CacheHeld",
    "CacheHit",
    "CacheLookup",
    "CacheMiss",
    "CachePut",
    "CacheStored",
    "Call",
    "CallFailed",
    "Check",
    "ChildrenAtWork",
    "Fact",
    "Finalize",
    "Finalized",
    "FindJobs",
    "JobGone",
    "JobStillThere",
    "JobsFound",
    "KillChildren",
    "KillJob",
    "NeedsTold",
    "NothingStarted",
    "Policy",
    "Start",
    "StartFailed",
    "StartUnknown",
    "StateUnreadable",
    "Step",
    "Sweep",
    "SweepFailed",
    "Swept",
    "TendChildren",
    "Told",
    "Traits",
    "View",
    "Wait",
    "begin",
    "deadlines",
    "doubted_entry",
    "first_record",
    "is_backing_off",
    "is_interruptible",
    "late_entry",
    "learn",
    "ledger_entry",
    "next_action",
    "open_entries",
    "phase_event",
    "tidied",
]
