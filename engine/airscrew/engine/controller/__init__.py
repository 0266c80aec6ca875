"""
The loop that drives executions: take a key, look at its record, ask the machine, carry out, write.

``controller`` owns the loop, ``calls`` reaches executors and the data plane and turns what happens into facts,
``commit`` writes, ``live`` is what is kept in memory of an execution between two looks. Nothing here MUST decide what
follows from a fact: that is ``machine``'s. One execution's trouble is its own: whatever goes wrong with it ends at its
own turn of the loop.
"""
