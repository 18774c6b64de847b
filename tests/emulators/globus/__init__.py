"""A stand-in for Globus Auth and Transfer: one server process with durable state that moves real bytes.

Modules: :mod:`settings` (clients, collections, limits), :mod:`clock` (virtual time), :mod:`store` and :mod:`tasks`
(SQLite), :mod:`access` (tokens, consent, rate), :mod:`paths` (what is where, and who may), :mod:`submission` (checks
and the making of a task), :mod:`lifecycle` (deadlines, pauses, ends), :mod:`running` (whose turn it is, one task at
work), :mod:`attempts` and :mod:`copying` (one item, one file), :mod:`operations` and :mod:`taskroutes` (the other
routes), :mod:`documents` (answers about tasks and files), :mod:`download` (HTTPS server of a collection),
:mod:`faults` (trouble on demand), :mod:`control` (faults and inspection over HTTP), :mod:`server` (one request through
all of it) and :mod:`process` (start, kill and restart it from a test).

What is known of the real service and what is assumed: docs/explanation/globus-emulator.md.
"""
