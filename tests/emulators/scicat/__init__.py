"""A stand-in for the SciCat backend: one server process with durable state, wrong where the real one is wrong.

Modules: :mod:`settings` (accounts and rights), :mod:`store` (SQLite), :mod:`access` (who may do what),
:mod:`validation` (which bodies are accepted), :mod:`documents` (what the server makes of a body), :mod:`queries`
(``filter=``), :mod:`login`, :mod:`datasets` and :mod:`children` (the routes), :mod:`faults` (outages on demand),
:mod:`control` (faults and inspection over HTTP), :mod:`server` (one request through all of it) and :mod:`process`
(start, kill and restart it from a test).

Backends: ``4.27`` and ``5.2``. Emulated is ``/api/v3`` for login, datasets, origdatablocks, datablocks, attachments and
lifecycle. Not emulated: ``/api/v4``, jobs, samples, instruments, proposals, published data, full query, optimistic
locks.
"""
