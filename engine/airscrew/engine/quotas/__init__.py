"""
The resource manager: how many attempts may be in an outside system at once, over all engines of a store.

**Pools.** An operator sets quotas by configuration (``quotas:``). A pool has a limit in units, and shares within
it: of every namespace, of every project, of named ones. A task is in one pool at most: the one that its executor is
bound to, else the one that the executor names for it (``Executor.resource_requirements``). It takes units of the
pool and of each share that it falls under, all or none.

**Tokens.** A pool or share of N units is N keys, ``quota-token/<scope>/<0..N-1>``; a unit is taken by writing a key
that is not there. That is a compare in the very transaction that writes the intent, and a delete in the one that
strikes the ledger entry off: no further transaction, no counter that all write, nothing that expires. So the units
taken are those of the open ledger entries at every moment, and a crash between any two steps changes nothing of it.
The one exception is an execution that waits for children: its own job is over, its units are back, for its children
may need them.

**What a member decides alone.** Each engine watches the keys, and so knows which are free: which one to try, and
whether to try at all. It can be behind. **What the store decides:** whether the key is still free. Two engines that
choose the same one lose a try and no more, and they choose at random places.

**Over-admission** is impossible while a limit stays as it is. A smaller limit lets run what runs. Until it has come
down to it, engines hold back by what they see, so that for the time a watch is behind, each can let one too many
through; keys beyond the limit are never taken. Engines that are told different limits hold to their own. A task
that had begun before a pool was set has no units and is not counted.

**The line.** Who waits has a key in ``quota-line/`` while it does, written with the record that says so. The line
is ordered by priority (label ``airscrew/priority``), then by when the wait began, and is the same for all members
as far as their clocks agree. Nobody is overtaken in what he lacks, so a large request does not wait for ever while
small ones go, and one namespace at its share holds up no other. A release wakes those who can go now, and nobody
else. A member lets the waiting of others go first, but not for ever: when a unit has been free for
``PATIENCE_SECONDS`` and they have not taken it, their engine may be gone.

Parts: ``pools`` (what is set), ``line`` (who is next) and ``slots`` (what is free) are pure; ``desk`` watches,
wakes and is what a turn asks; ``views`` reads it all for people. Nothing but ``desk`` and ``views`` MUST reach a
store.
"""

from airscrew.engine.quotas.desk import OPEN, Asker, Hold, QuotaDesk, following
from airscrew.engine.quotas.pools import MAX_UNITS, Pools
from airscrew.engine.quotas.views import read_quotas

__all__ = ["MAX_UNITS", "OPEN", "Asker", "Hold", "Pools", "QuotaDesk", "following", "read_quotas"]
