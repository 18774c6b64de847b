"""A stand-in for the SciCat backend: one server process with durable state, wrong where the real one is wrong.

Modules: :mod:`settings` (accounts and rights), :mod:`store` (SQLite), :mod:`access` (who may do what),
:mod:`validation` (which bodies are accepted), :mod:`published` (what SciCat publishes of its requests and answers),
:mod:`documents` (what the server makes of a body), :mod:`views` (how v3 and v4 show it), :mod:`queries` (``filter=``),
:mod:`login`, :mod:`datasets`, :mod:`datasets_v4`, :mod:`children` and :mod:`attachments` (the routes), :mod:`faults`
(outages on demand), :mod:`control` (faults and inspection over HTTP), :mod:`server` (one request through all of it) and
:mod:`process` (start, kill and restart it from a test).

Backends: ``4.27`` and ``5.2``. Emulated are login, datasets with lifecycle and full query, origdatablocks, datablocks
and attachments of ``/api/v3``, and of ``/api/v4`` what public clients use for the same. Not emulated: jobs, samples,
instruments, proposals, published data, derived datasets.
"""
