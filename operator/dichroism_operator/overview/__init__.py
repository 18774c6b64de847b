"""One screen on the whole installation, for ``dichroism status``.

``state`` holds what was read and what is wrong with it (pure), ``reading`` reads it, ``text`` shows it.
"""
