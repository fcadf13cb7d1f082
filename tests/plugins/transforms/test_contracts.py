"""Every transform of the core passes the shipped contract."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elspeth.contracts.plugins import Row
from elspeth.plugins.registry import load_catalog
from elspeth.testing import BatchTransformContract, TransformContract
from elspeth.testing.llm import LoopbackLLM

ADDRESSES = ("base_url", "endpoint")


class CoreContract(TransformContract):
    """A transform of the catalog, by name and options."""

    plugin: ClassVar[str]
    options: ClassVar[dict[str, Any]]

    def make(self) -> Any:
        return load_catalog().transform(self.plugin)(self.options)

    def rows(self) -> Sequence[Row]:
        return [
            {
                "id": 1,
                "name": "Ada",
                "amount": 12.5,
                "tags": ["x", {"y": ["z"]}],
                "note": "first\nsecond\r\n",
            },
            {"id": 2, "name": None, "amount": Decimal("1.10"), "tags": [], "note": ""},
            {"id": "3", "name": "a name that is long", "amount": None, "tags": "none", "note": None},
            {"id": True, "name": "secret", "when": date(2024, 1, 31)},
            {"note": "\nx", "tags": [None, 1], "title": "taken", "name": "n"},
            {},
        ]


class ModelContract(CoreContract):
    """A transform that calls a language model: here one on this machine."""

    @pytest.fixture(autouse=True)
    def model(self) -> Iterator[None]:
        with LoopbackLLM() as server:
            self.url = server.url
            yield

    def make(self) -> Any:
        where = {key: value.format(url=self.url) for key, value in self.options.items() if key in ADDRESSES}
        return load_catalog().transform(self.plugin)({**self.options, **where})


class TestLLM(ModelContract):
    plugin = "llm"
    options: ClassVar[dict[str, Any]] = {
        "model": "m", "base_url": "{url}/v1", "prompt_template": "Who is {{ row.name }}?"
    }  # fmt: skip


class TestAzureLLM(ModelContract):
    plugin = "azure_llm"
    options: ClassVar[dict[str, Any]] = {
        "deployment_name": "d", "endpoint": "{url}", "api_key": "a-key-of-azure",
        "queries": {"who": {"template": "{{ name }}"}, "why": {"template": "{{ row.note | default('') }}"}},
    }  # fmt: skip


class TestOpenRouterLLM(ModelContract):
    plugin = "openrouter_llm"
    options: ClassVar[dict[str, Any]] = {
        "model": "m", "base_url": "{url}", "api_key": "a-key-of-theirs", "prompt_template": "{{ row['id'] }}"
    }  # fmt: skip


class TestLLMJudge(ModelContract):
    plugin = "llm_judge"
    options: ClassVar[dict[str, Any]] = {
        "model": "m", "base_url": "{url}/v1", "criteria": "The longer one.",
        "judge_prompt": "{{ lookup.criteria }} {{ row.name }}",
    }  # fmt: skip


class TestPassthrough(CoreContract):
    plugin = "passthrough"
    options: ClassVar[dict[str, Any]] = {}


class TestFieldMapper(CoreContract):
    plugin = "field_mapper"
    options: ClassVar[dict[str, Any]] = {
        "mapping": {"name": "title"},
        "drop": ["tags"],
        "computed": {"double": "row['amount'] * 2"},
    }


class TestFieldMapperSelecting(CoreContract):
    plugin = "field_mapper"
    options: ClassVar[dict[str, Any]] = {
        "mapping": {"id": "key", "note": "note"},
        "select_only": True,
        "strict": False,
    }


class TestTruncate(CoreContract):
    plugin = "truncate"
    options: ClassVar[dict[str, Any]] = {"fields": {"name": 5, "note": 3}, "suffix": "…"}


class TestKeywordFilter(CoreContract):
    plugin = "keyword_filter"
    options: ClassVar[dict[str, Any]] = {"fields": "all", "blocked_patterns": ["(?i)SECRET", "^z$"]}


class TestTypeCoerce(CoreContract):
    plugin = "type_coerce"
    options: ClassVar[dict[str, Any]] = {"conversions": {"id": "int", "amount": "decimal?"}}


class TestValueTransform(CoreContract):
    plugin = "value_transform"
    options: ClassVar[dict[str, Any]] = {
        "operations": [
            {"target": "double", "expression": "row['amount'] * 2"},
            {"target": "label", "expression": "'big' if row['double'] > 20 else row.get('name', 'none')"},
        ]
    }


class TestJsonExplode(CoreContract):
    plugin = "json_explode"
    options: ClassVar[dict[str, Any]] = {"array_field": "tags", "output_field": "tag", "include_index": True}


class TestLineExplode(CoreContract):
    plugin = "line_explode"
    options: ClassVar[dict[str, Any]] = {"source_field": "note", "output_field": "title"}


class BatchContract(BatchTransformContract):
    """A batch transform of the catalog, by name and options."""

    plugin: ClassVar[str]
    options: ClassVar[dict[str, Any]]

    def make(self) -> Any:
        return load_catalog().transform(self.plugin)(self.options)

    def batches(self) -> Sequence[Sequence[Row]]:
        return [
            [{"id": 1, "city": "Rome", "n": 2}, {"id": 2, "city": "Oslo", "n": 0}, {"id": 3, "n": None}],
            [{"id": 4, "city": ["Rome"], "n": Decimal("1.5")}, {"city": None, "n": 2**70}],
            [{"id": 5, "city": "Rome", "n": 1.5, "tags": [{"x": 1}]}],
            [{"city": 1, "n": -1}, {"city": 1.0, "n": "many"}],
            [{"id": 6, "copy_index": 7}],
            [{}, {}],
        ]


class TestBatchStats(BatchContract):
    plugin = "batch_stats"
    options: ClassVar[dict[str, Any]] = {"value_field": "n", "group_by": "city"}


class TestBatchReplicate(BatchContract):
    plugin = "batch_replicate"
    options: ClassVar[dict[str, Any]] = {"copies_field": "n", "default_copies": 2}


class TestBatchTopK(BatchContract):
    plugin = "batch_top_k"
    options: ClassVar[dict[str, Any]] = {"field": "n", "k": 1, "group_by": ["city"]}


ELSEWHERE = {"wasm"}
"""Transforms whose contract test stands with their other tests, beside this file."""


def test_every_core_transform_has_a_contract_test() -> None:
    classes = [cls for _, cls in inspect.getmembers(sys.modules[__name__], inspect.isclass)]
    bases = (CoreContract, ModelContract, BatchContract)
    tested = {cls.plugin for cls in classes if issubclass(cls, bases) and cls not in bases}
    catalog = load_catalog()
    core = {
        name
        for name in catalog.names("transform")
        if catalog.describe("transform", name).distribution == "elspeth"
    }
    assert core <= tested | ELSEWHERE
    assert all(Path(__file__).with_name(f"test_{name}.py").exists() for name in ELSEWHERE)
