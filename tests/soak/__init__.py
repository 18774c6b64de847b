"""Everything at once for many minutes, and at the end an account of every byte: ``make soak``.

``world`` puts the parts together, ``routine`` does what a CronJob and people do all the time, ``troubles`` and
``services`` are what goes wrong, ``chaos`` lets it. ``evidence`` reads disks, tape and catalogue by other means than
the product does, into the ``records`` of which ``account`` says whether they add up. ``python -m tests.soak`` runs it.
"""
