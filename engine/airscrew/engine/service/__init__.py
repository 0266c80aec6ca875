"""
The engine's interface over the store: what ``api.EngineApi`` promises, done.

``reader`` shows what is stored and needs no running engine; ``submission`` checks and accepts; ``service`` puts both
together and asks the owner of an execution for everything else by a request in the store. Nothing here MUST write a
record: that is the controller's alone.
"""
