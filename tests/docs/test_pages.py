"""What the pages show is true: links lead somewhere, commands exist, pipelines run, queries are answered."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, text
from typer.main import get_command

from elspeth import run
from elspeth.cli.main import app
from elspeth.core.config import PipelineSettings, load_pipeline
from elspeth.core.expressions import compile_expression
from elspeth.testing.llm import Behaviour, LoopbackLLM

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECTIONS = {"source", "experiment", *PipelineSettings.model_fields}

# What the pipelines of the pages read. The names are the pages' own.
INPUTS = {
    "data/claims.csv": "id,amount,approved,note\n1,12000,yes,first\n2,50,no,\n3,2000,yes,4111222233334444\n",
    "data/north.csv": "id,note\n1,long\n",
    "data/south.jsonl": '{"id": 2, "note": "longer"}\n',
    "data/patients.csv": "id,postcode\n1,sw1a 1aa\n",
    "data/payments.csv": "id;Betrag (EUR);paid_on;note\n1;12.50;2026-01-31;caf\xe9\n",
    "data/peaks.csv": "name,height_m,countries,first_ascent\nK2,8611,Pakistan/China,1954-07-31\n",
    "data/transactions.csv": "id,amount\n1,50\n2,2000\n",
    "data/tickets.csv": "subject,body\nNo mail,Since this morning nothing comes in\n",
    "data/users.csv": "User ID,name\n1,Ada\n",
}
ENCODINGS = {"data/payments.csv": "cp1252"}
NOT_INSTALLED = ("plugin: postcode", "plugin: azure_blob")
MODELS = "https://my-resource.openai.azure.com"  # what answers in its place says what the page asks for
TICKET = '{"team": "network", "urgent": false}'
ENVIRON = {"AZURE_OPENAI_API_KEY": "the-key-of-the-page"}


def blocks(language: str) -> list[Any]:
    """Every code block of a language, named by page and line."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    shown = []
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for found in fence.finditer(content):
            line = content.count("\n", 0, found.start()) + 1
            shown.append(pytest.param(found[1], id=f"{page.relative_to(ROOT)}:{line}"))
    return shown


def commands() -> Iterator[Any]:
    for block in blocks("console"):
        for number, line in enumerate(re.findall(r"^\$ (.*)$", block.values[0], re.MULTILINE)):
            for part in re.split(r" (?:&&|\|\||\|) ", line):
                words = re.sub(r"^(\w+=\S+ |ELSPETH_\w+=\".*?\" )*", "", part)
                if words.startswith("elspeth"):
                    yield pytest.param(words, id=f"{block.id}+{number}")


def is_whole(block: str) -> bool:
    keys = set(yaml.safe_load(block))
    return "sinks" in keys and bool(keys & {"source", "sources"})


YAML = blocks("yaml")
WHOLE = [block for block in YAML if is_whole(block.values[0])]
PARTS = [block for block in YAML if not is_whole(block.values[0])]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that has everything the pages' pipelines read."""
    for name, content in INPUTS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding=ENCODINGS.get(name, "utf-8"))
    (tmp_path / "out").mkdir()
    engine = create_engine(f"sqlite:///{tmp_path / 'claims.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE claims (id INTEGER, amount REAL, year INTEGER)"))
        connection.execute(text("INSERT INTO claims VALUES (1, 12.5, 2025)"))
    engine.dispose()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    content = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in re.findall(r"\]\(([^)\s]+)\)", index.read_text(encoding="utf-8"))
    }
    assert {page for page in PAGES if page.parent != ROOT and page != index} - linked == set()


@pytest.mark.parametrize("line", list(commands()))
def test_commands_exist_with_these_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: Any = get_command(app)
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        command = command.get_command(None, words.pop(0))
        assert command is not None, line
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    assert {word.partition("=")[0] for word in words if re.match(r"-\w|--\w", word)} - known == set()


@pytest.mark.parametrize("block", WHOLE)
@pytest.mark.usefixtures("workplace")
def test_whole_pipelines_run(block: str) -> None:
    Path("pipeline.yaml").write_text(block, encoding="utf-8")
    if any(name in block for name in NOT_INSTALLED):
        assert load_pipeline("pipeline.yaml", environ={}).settings.sinks
        return
    with LoopbackLLM(Behaviour(answer=lambda _body: TICKET)) as models:
        Path("pipeline.yaml").write_text(block.replace(MODELS, models.url), encoding="utf-8")
        result = run("pipeline.yaml", environ=ENVIRON, database="sqlite:///record.db")
    assert result.rows.failed == result.rows.quarantined == 0 or MODELS not in block
    assert result.rows.read > 0
    assert result.status in ("completed", "completed_with_failures")


@pytest.mark.parametrize("block", PARTS)
def test_parts_of_pipelines_have_known_keys_and_conditions(block: str) -> None:
    part = yaml.safe_load(block)
    assert set(part) - SECTIONS == set()
    for gate in part.get("gates", ()):
        labels = compile_expression(gate["condition"]).labels()
        assert labels is None or labels == set(gate["routes"])


@pytest.mark.parametrize("block", blocks("python"))
def test_python_compiles_and_imports_what_there_is(block: str) -> None:
    compile(block, "page", "exec")
    for statement in re.findall(r"^from elspeth(?:\.[\w.]+)? import .*$", block, re.MULTILINE):
        exec(statement, {})


@pytest.mark.parametrize(
    "query", [block for block in blocks("sql") if block.values[0].startswith(("SELECT", "WITH"))]
)
def test_queries_are_answered(query: str, workplace: Path) -> None:
    Path("pipeline.yaml").write_text(WHOLE[0].values[0], encoding="utf-8")
    run("pipeline.yaml", environ={}, database="sqlite:///record.db")
    engine = create_engine("sqlite:///record.db")
    with engine.connect() as connection:
        connection.exec_driver_sql(query).fetchall()
    engine.dispose()
