"""A canary in every place that may hold a secret, looked for in everything that is left behind or said."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from elspeth import run
from elspeth.api.assemble import assemble
from elspeth.api.explain import explain
from elspeth.api.export import FORMATS, export
from elspeth.api.purge import purge
from elspeth.cli.main import main
from elspeth.contracts.enums import CallStatus
from elspeth.contracts.errors import ElspethError
from elspeth.core.landscape.calls.journal import CallJournal, JournalCall
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder

CANARY = "cAnArY-9f8e7d6c"
MARK = "hmac-sha256:"

PLUGIN = '''
from typing import Any, ClassVar
from elspeth.contracts.results import TransformResult
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions


class LeakyOptions(TransformOptions):
    api_key: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    connection_string: str = ""
    setting: str = ""
    when: str = "never"


class Leaky(BaseTransform):
    """Quotes its options in whatever it says."""
    name: ClassVar[str] = "leaky"
    plugin_version: ClassVar[str] = "1"
    options_model = LeakyOptions

    def on_start(self, ctx):
        if self.options.when == "start":
            raise RuntimeError(self.said())

    def said(self):
        return f"no access with {self.options.model_dump()}"

    def process(self, row, ctx):
        if self.options.when == "error":
            return TransformResult.error({"error": self.said(), "headers": self.options.headers})
        if self.options.when == "raise":
            raise RuntimeError(self.said()) from ValueError(self.said())
        return TransformResult.success(dict(row))
'''
PIPELINE = """
source: {{plugin: csv, options: {{path: "${{INPUT_FILE}}"}}}}
transforms:
  - name: leaky
    plugin: leaky
    options:
{options}
      when: {when}
gates:
  - {{name: g, condition: "row['id'] == '${{SERVICE_TOKEN}}'", routes: {{"true": output, "false": output}}}}
sinks: {{output: {{plugin: json, options: {{path: out.jsonl}}}}}}
landscape: {{export: {{enabled: true, path: after.jsonl}}}}
"""
PLACES = {
    "a key": f'      api_key: "{CANARY}"',
    "a variable under a key": '      api_key: "${SERVICE_TOKEN}"',
    "a variable elsewhere": '      setting: "${SERVICE_TOKEN}"',
    "a URL": f'      url: "https://me:{CANARY}@service.example/v1"',
    "a header": f'      headers: {{Authorization: "Bearer {CANARY}", X-Api-Key: "{CANARY}"}}',
    "a connection string": f'      connection_string: "Endpoint=x;AccountKey={CANARY};Name=n"',
    "a signature in a URL": f'      url: "https://a.example/c?sv=1&sig={CANARY}"',
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a plugin that leaks, as an installed package."""
    installed = tmp_path / "site" / "leaky-1.dist-info"
    installed.mkdir(parents=True)
    (tmp_path / "site" / "leaky_plugin.py").write_text(
        PLUGIN + "\n\nfrom elspeth.plugins.hookspecs import hookimpl\n\n"
        "@hookimpl\ndef elspeth_transforms():\n    return [Leaky]\n",
        encoding="utf-8",
    )
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[elspeth]\nleaky = leaky_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("SERVICE_TOKEN", CANARY)
    monkeypatch.setenv("INPUT_FILE", "orders.csv")
    monkeypatch.delenv("ELSPETH_FINGERPRINT_KEY", raising=False)
    (here / "orders.csv").write_text("id,note\na,x\nb,y\n", encoding="utf-8")
    yield here
    sys.modules.pop("leaky_plugin", None)


@pytest.fixture
def spoken(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All that was said so far: both streams and the log."""
    heard: list[str] = []

    def listen() -> str:
        told = capfd.readouterr()
        heard.extend([told.out, told.err, caplog.text])
        return "\n".join(heard)

    caplog.set_level(logging.DEBUG)
    return listen


def holding(directory: Path, but: tuple[str, ...] = ("pipeline.yaml",)) -> list[str]:
    """The files below a directory in which the canary is."""
    raw = CANARY.encode()
    return [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name not in but and raw in path.read_bytes()
    ]


def say_everything(here: Path) -> None:
    """Every command that says something of a run."""
    for command in (
        ["validate", "pipeline.yaml"], ["run", "pipeline.yaml", "--dry-run"], ["runs", "show"],
        ["runs", "show", "--json"], ["explain", "--row", "0"], ["explain", "--row", "0", "--json"],
    ):  # fmt: skip
        main(command)
    for form in (form for form in FORMATS if form not in ("json", "parquet")):
        main(["export", "--format", form, "-o", f"export-{form}"])
    main(["export", "--format", "prov", "--row", "0", "-o", "row.prov.json"])


@pytest.mark.parametrize("when", ["never", "error", "raise", "start"])
@pytest.mark.parametrize("place", PLACES)
def test_options(here: Path, spoken: Callable[[], str], place: str, when: str) -> None:
    text = PIPELINE.format(options=PLACES[place], when=when)
    (here / "pipeline.yaml").write_text(text, encoding="utf-8")
    main(["run", "pipeline.yaml", "--json"])
    assert list(here.rglob("landscape.db"))
    say_everything(here)
    assert CANARY not in spoken()
    assert holding(here) == []


def test_exceptions_from_the_api(here: Path) -> None:
    text = PIPELINE.format(options=PLACES["a key"], when="raise")
    (here / "pipeline.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Exception, match="no access with") as raised:
        run("pipeline.yaml")
    error: BaseException | None = raised.value
    while error is not None:
        assert CANARY not in f"{error!r} {error}"
        error = error.__cause__


def test_with_a_key_equal_secrets_have_equal_fingerprints(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSPETH_FINGERPRINT_KEY", "a long random text")
    found = []
    for place in ("a key", "a variable elsewhere"):
        (here / "pipeline.yaml").write_text(
            PIPELINE.format(options=PLACES[place], when="error"), encoding="utf-8"
        )
        run("pipeline.yaml")
        errors = json.dumps(explain(row=0).to_dict())
        found.append(errors[errors.index(MARK) :][: len(MARK) + 32])
    assert found[0] == found[1]
    assert holding(here) == []


@pytest.mark.parametrize("when", ["never", "error"])
def test_calls(here: Path, when: str) -> None:
    (here / "pipeline.yaml").write_text(PIPELINE.format(options=PLACES["a key"], when=when), encoding="utf-8")
    run_id = run("pipeline.yaml").run_id
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    db.redactor = assemble("pipeline.yaml").redactor
    request = {
        "url": f"https://me:{CANARY}@host/x",
        "headers": {"api-key": CANARY, "Authorization": f"Bearer {CANARY}"},
    }
    response = {"echo": f"your key is {CANARY}", "access_token": CANARY}
    LandscapeRecorder(db).record_call(
        f"{run_id}-0-0-1.1",
        ExternalCall("http", "error", request, response, {"error": f"bad {CANARY}"}),
        run_id=run_id,
    )
    LandscapeRecorder(db).record_call(
        f"{run_id}-0-0-1.1",
        ExternalCall("http", "success", f"GET https://u:{CANARY}@h", f"sig={CANARY}"),
        run_id=run_id,
    )
    journal = CallJournal(db)
    journal.put(
        JournalCall(run_id, f"{run_id}-1-0-1.1", 0, CallStatus.ERROR, "{}", f"got {CANARY}", f"bad {CANARY}")
    )
    journal.close()
    db.close()
    export(run_id, here / "out")
    assert holding(here) == []


def test_large_contents_of_a_failed_row_and_their_segments(here: Path) -> None:
    (here / "orders.csv").write_text(f"id,note\na,{'long ' * 3000}\n", encoding="utf-8")
    (here / "pipeline.yaml").write_text(
        PIPELINE.format(options=PLACES["a header"], when="error"), encoding="utf-8"
    )
    run("pipeline.yaml")
    assert list(here.rglob("*.seg"))
    assert holding(here) == []
    purge(older_than="0h")
    assert holding(here) == []


def with_password(url: str) -> str:
    return make_url(url).set(password=CANARY).render_as_string(hide_password=False)


DATABASES = """
source: {{plugin: csv, options: {{path: orders.csv}}}}
sinks: {{output: {{plugin: database, options: {{url: "{sink}", table: {table}}}}}}}
landscape: {{url: "{landscape}"}}
"""


def test_passwords_of_databases(here: Path, spoken: Callable[[], str], postgres_url: str) -> None:
    url = with_password(postgres_url)
    (here / "pipeline.yaml").write_text(
        DATABASES.format(sink=url, table="t", landscape=url), encoding="utf-8"
    )
    assert main(["run", "pipeline.yaml", "--json"]) == 0
    for command in (
        ["runs", "show"],
        ["explain", "--row", "0"],
        ["doctor"],
        ["export", "-o", "out"],
        ["verify"],
    ):
        main([*command, "--database", url])
    main(["export", "--format", "openlineage", "-o", "e.jsonl", "--database", url])
    main(["run", "pipeline.yaml"])  # the table is there by now
    assert CANARY not in spoken()
    assert holding(here) == []
    assert CANARY not in everything_in(postgres_url)


def everything_in(url: str) -> str:
    db = LandscapeDB.from_url(url)
    with db.engine.connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).scalars()
        found = [str(connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()) for name in list(names)]
    db.close()
    return "\n".join(found)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid", "127.0.0.1:notaport"])
def test_databases_that_are_not_there(here: Path, spoken: Callable[[], str], host: str) -> None:
    url = f"postgresql://me:{CANARY}@{host}/db"
    for sink, landscape in ((url, "sqlite:///ok.db"), ("sqlite:///x.db", url)):
        text = DATABASES.format(sink=sink, table="t", landscape=landscape)
        (here / "pipeline.yaml").write_text(text, encoding="utf-8")
        for command in (["run"], ["validate"], ["run", "--json"], ["validate", "--json"]):
            main([*command[:1], "pipeline.yaml", *command[1:]])
    for command in (["runs"], ["explain", "--row", "0"], ["doctor"], ["export"], ["purge"], ["verify"]):
        main([*command, "--database", url])
    with pytest.raises(ElspethError) as raised:
        LandscapeDB.from_url(url)
    assert CANARY not in repr(raised.value)
    assert CANARY not in spoken()
    assert holding(here) == []


def test_a_refused_file_shows_no_secret(here: Path, spoken: Callable[[], str]) -> None:
    for line in PLACES.values():
        text = PIPELINE.format(options=line, when="never").replace("csv", "cvs")
        (here / "pipeline.yaml").write_text(text.replace("when:", "wehn:"), encoding="utf-8")
        assert main(["run", "pipeline.yaml"]) == 2
        assert main(["validate", "pipeline.yaml", "--json"]) == 2
        with pytest.raises(ElspethError) as raised:
            run("pipeline.yaml")
        assert CANARY not in str(raised.value)
    assert CANARY not in spoken()
    assert holding(here) == []
