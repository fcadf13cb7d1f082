"""``llm_judge``: which of two answers is better, in both orders, because models like what comes first."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.contracts.judging import CONTROL, FLIPPED, INPUT, TIE, VARIANT, WINNER
from elspeth.contracts.plugins import Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.llm.transform import LLMOptions, LLMTransform
from elspeth.plugins.llm.work import RowWork
from elspeth.plugins.transforms.schema_changes import with_fields

_ORDERS = {"judge_control_first": (CONTROL, VARIANT), "judge_variant_first": (VARIANT, CONTROL)}
_ANSWERS = frozenset({CONTROL, VARIANT})
_PROMPT = """\
{{ lookup.criteria }}
{% if row.input is defined %}

The input:
{{ row.input }}
{% endif %}

Answer 1:
{{ first }}

Answer 2:
{{ second }}

Say 1 if answer 1 is better, 2 if answer 2 is better, tie if neither is.
"""


class JudgeOptions(LLMOptions):
    """Options of ``llm_judge``: those of ``llm``, without its prompt, and what to judge by."""

    criteria: str = Field(min_length=1, description="What makes an answer better, in words.")
    answer: str | None = Field(
        default=None, min_length=1, description="The field of both answers to judge; default: all of them."
    )
    judge_prompt: str | None = Field(
        default=None,
        min_length=1,
        description="Another prompt, over `first`, `second`, `row` and `lookup.criteria`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _asks_in_both_orders(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        for key in ("prompt_template", "prompt_template_file", "queries", "output_fields", "output_schema"):
            if data.get(key):
                raise broken_rule(
                    f"a judge asks in both orders, so that {key} has no place",
                    fix="write judge_prompt, over `first` and `second`",
                    at=(key,),
                )
        prompt, answer = data.get("judge_prompt"), data.get("answer")
        queries = {
            name: {
                "template": _ordered(prompt if isinstance(prompt, str) else _PROMPT, order, answer),
                "output_fields": {name: ["1", "2", TIE]},
            }
            for name, order in _ORDERS.items()
        }
        lookup = data.get("lookup") or {}
        return {**data, "queries": queries, "lookup": {**lookup, "criteria": data.get("criteria")}}


def _ordered(prompt: str, order: tuple[str, str], answer: Any) -> str:
    """The prompt with the answers in this order."""
    part = f"[{answer!r}]" if isinstance(answer, str) else ""
    first, second = (f"row.{side}{part}" for side in order)
    return f"{{% set first = {first} %}}{{% set second = {second} %}}{prompt}"


class LLMJudge(LLMTransform):
    """Ask a model which answer of a pair is better, in both orders; contradicting itself is a tie.

    Rows hold ``control`` and ``variant``, as the ``judge`` of an experiment gets them, and as
    `elspeth experiment pairs` writes them.
    """

    name: ClassVar[str] = "llm_judge"
    options_model = JudgeOptions
    options: JudgeOptions

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The incoming fields, what was said in each order, and what follows."""
        found = super().output_schema(incoming)
        return with_fields(found, [FieldSpec(WINNER, FieldType.STR), FieldSpec(FLIPPED, FieldType.BOOL)])

    def shown(self, row: Row) -> Row:
        """Of the answers only what is not in the input: where none is named a judge sees all of both."""
        incoming = row.get(INPUT)
        if self.options.answer is not None or not isinstance(incoming, Mapping):
            return row
        return {name: made(incoming, of) if name in _ANSWERS else of for name, of in row.items()}

    def _emit(self, work: RowWork, result: TransformResult | BaseException) -> None:
        if isinstance(result, TransformResult) and result.row is not None:
            result = TransformResult.success(judged(result.row))
        super()._emit(work, result)


def made(incoming: Mapping[str, Any], answer: Any) -> Any:
    """What an answer adds to the row that came in, or changes of it."""
    if not isinstance(answer, Mapping):
        return answer
    return {name: of for name, of in answer.items() if name not in incoming or incoming[name] != of}


def judged(row: Row) -> Row:
    """The row with who won, and whether that turned with the order."""
    winners = []
    for name, order in _ORDERS.items():
        said = row[name]
        winners.append(TIE if said == TIE else order[int(said) - 1])
    flipped = winners[0] != winners[1]
    return {**row, WINNER: TIE if flipped else winners[0], FLIPPED: flipped}
