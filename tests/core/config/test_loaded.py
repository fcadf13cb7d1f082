"""What the layers above do with a loaded pipeline: translate the errors of plugin options."""

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from elspeth.core.config import load_pipeline

FILE = """\
source:
  plugin: csv
  options:
    pth: in.csv
    skip_rows: -1
    mode: fast
    kind: Big
    columns: {a: {type: 5}}
    token: ${TOKEN}
    odd: ${ODD}
sinks: {out: {plugin: csv}}
"""


class Kind(StrEnum):
    BIG = "big"
    SMALL = "small"


class Column(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: str


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="The file to read.")
    skip_rows: int = Field(0, ge=0)
    mode: Literal["strict", "loose"] = "strict"
    kind: Kind = Kind.BIG
    columns: dict[str, Column] = {}
    token: int = 0
    odd: int = 0
    encoding: str = Field(min_length=1)

    @field_validator("odd")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"must be even, and {value} is not")
        return value


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(FILE)
    return load_pipeline("p.yaml", environ={"TOKEN": "s3cret", "ODD": "31"})


def test_errors_of_plugin_options_get_places_and_words(loaded):
    at = ("sources", "source", "options")
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(loaded.settings.sources["source"].options)
    problems = sorted(loaded.problems_of(caught.value, Options, at), key=lambda p: str(p.location))
    assert [(str(p.location), p.what, p.fix) for p in problems] == [
        ("p.yaml:10:10", "source.options.odd: must be even, and the value of ${ODD} is not", ""),
        ("p.yaml:3:3", "source.options has no 'encoding'", "add `encoding`"),
        ("p.yaml:4:5", "unknown key 'pth' in source.options", "did you mean 'path'?"),
        ("p.yaml:5:16", "source.options.skip_rows must be at least 0, and this is -1", ""),
        ("p.yaml:6:11", "source.options.mode must be one of strict, loose, and this is 'fast'", ""),
        (
            "p.yaml:7:11",
            "source.options.kind must be one of big, small, and this is 'Big'",
            "did you mean 'big'?",
        ),
        (
            "p.yaml:8:25",
            "source.options.columns.a.type must be text, and this is a whole number",
            "put it in quotes",
        ),
        (
            "p.yaml:9:12",
            "source.options.token must be a whole number, and this is text",
            "write digits without quotes",
        ),
    ]
    assert "s3cret" not in "".join(map(str, problems))


def test_secrets_are_known_by_their_places(loaded):
    assert loaded.from_environment == {("sources", "source", "options", name) for name in ("token", "odd")}
    assert loaded.resolved()["sources"]["source"]["options"]["token"] == "s3cret"
    assert "s3cret" not in loaded.text
