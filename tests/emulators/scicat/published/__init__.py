"""What SciCat publishes about its API: fields of every request and answer, taken from its TypeScript SDK.

``fields-<version>.json`` is made by ``python -m tests.emulators.scicat.published.generate`` from the npm package
that it names with version and integrity hash. ``models`` maps a model to its fields and their types, a name
that ends with ``?`` is optional; ``routes`` maps ``METHOD /path`` to the models of request and answer.
:mod:`contract` judges with it.
"""
