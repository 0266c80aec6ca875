"""
The data loader of raw containers: it brings their inputs as files, and takes their outputs away.

It runs beside the task, in containers of its own: one before it (``download``) and one that waits for its end
(``upload``). What it has to do comes in a variable, its access to the storage from the environment. Nothing here MUST
take a credential from its arguments or write one anywhere, and nothing here may talk to the API server.
"""

from airscrew.plugins.kubernetes.loader.job import Code, LoaderJob

__all__ = ["Code", "LoaderJob"]
