"""``dichroism doctor``: whether an installation works, seen from here, and what to do where it does not.

``check`` says what a check and a finding are, ``place`` what all checks are given; ``examination`` runs them, and
``report`` writes what they found. Every other module is about one system: what is asked of it, and pure functions that
judge the answers. A new system is a new module with a function ``checks(place)``, named in ``installation``.

Nothing here changes anything of a user or of the cluster. What has to be tried is tried inside
``.dichroism/doctor/<random>`` of an endpoint and taken away again.
"""
