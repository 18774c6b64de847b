"""The whole story of one file, for ``dichroism why``.

``finding`` understands what a person asks for, ``reading`` fetches the objects, ``telling`` makes a story of them
(``model``), ``advice`` says what to do next, ``text`` shows it. ``missing`` tells of a file that has no Scan.
"""
