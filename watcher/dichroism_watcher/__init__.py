"""The watcher: runs beside the data, finds files that are finished and creates a Scan for each.

``command`` is the entry point and ``watch`` wires the parts together. ``walk`` looks at the disk, ``stability`` and
``ledger`` decide (no I/O), ``submit`` talks to the API, ``throttle`` holds requests back, ``health`` answers probes.
The watcher only ever lists folders and reads file attributes; it never opens a data file.
"""
