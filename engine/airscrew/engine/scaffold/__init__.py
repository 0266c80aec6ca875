"""
New plugins: a package with an executor, its tests, and the class that authors its tasks, made of templates.

``plan`` says what files there are and what is in them, ``protocol`` has protoc write the code of a message, ``write``
puts a package where nothing is. What it makes MUST pass its own tests, linters and type checks as it stands, and
nothing here MUST import a plugin: the templates are text.
"""

from airscrew.engine.scaffold.plan import Kind, Wanted, check_free, plan_package
from airscrew.engine.scaffold.protocol import with_code
from airscrew.engine.scaffold.write import write_package

__all__ = ["Kind", "Wanted", "check_free", "plan_package", "with_code", "write_package"]
