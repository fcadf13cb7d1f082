"""The contract tests that every source, transform and sink must pass; ours do.

Subclass the contract of your plugin's kind in a test module, give the class a name that starts with
``Test``, and write `make` and `rows`; pytest runs the rest:

    class TestShout(TransformContract):
        def make(self):
            return Shout({"fields": ["note"]})

        def rows(self):
            return [{"note": "hello"}, {"note": None}]

Batch transforms (`BatchTransformContract`) have `batches` instead of `rows`.
"""

from elspeth.testing.batch_contract import BatchTransformContract
from elspeth.testing.sink_contract import SinkContract
from elspeth.testing.source_contract import SourceContract
from elspeth.testing.transform_contract import TransformContract

__all__ = ["BatchTransformContract", "SinkContract", "SourceContract", "TransformContract"]
