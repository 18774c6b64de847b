"""A real Prefect server for tests and demo, in an environment of its own: its pins of fastapi fit nothing else.

``environment`` installs it once from ``requirements/prefect-server.lock`` and keeps it in the user's cache; ``serve``
runs inside that environment; ``server`` starts, stops and asks it; ``proxy`` stands between for faults that a real
server does not show on demand. Nothing here is installed with the project.
"""
