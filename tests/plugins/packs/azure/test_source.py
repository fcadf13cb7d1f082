"""The azure_blob source against a real blob service."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from elspeth.contracts import PluginContext, Quarantined
from elspeth.contracts.errors import SourceError
from elspeth.plugins.packs.azure import AzureBlobSource
from elspeth.plugins.packs.azure.source_options import AzureBlobSourceOptions
from elspeth.testing.blob_wire import Answer, Asked, BlobWire


def plain(row: Any) -> Any:
    """A row without what it is told of its blob, the name aside."""
    return {key: value for key, value in row.items() if key not in ("_blob_etag", "_blob_index")}


def test_json_objects_arrays_and_everything_else(storage: Any) -> None:
    storage.put("a.json", '{"id": 1}')
    storage.put("b.json", '[{"id": 2}, {"id": 3}]')
    storage.put("c.txt", "just text, é")
    storage.put("d.bin", b"\xff\x00")
    storage.put("e.jsonl", '{"id": 4}\n{"id": 5}\n')
    storage.put("f.json", "{not json")
    assert AzureBlobSource.name == "azure_blob"
    assert [plain(row) for row in storage.rows()] == [
        {"id": 1, "_blob_name": "a.json"},
        {"id": 2, "_blob_name": "b.json"},
        {"id": 3, "_blob_name": "b.json"},
        {"_blob_content": "just text, é", "_blob_name": "c.txt"},
        {"_blob_content": b"\xff\x00", "_blob_name": "d.bin"},
        {"id": 4, "_blob_name": "e.jsonl"},
        {"id": 5, "_blob_name": "e.jsonl"},
        {"_blob_content": "{not json", "_blob_name": "f.json"},
    ]


def test_without_parse_json_every_blob_is_one_row(storage: Any) -> None:
    storage.put("b.json", '[{"id": 2}, {"id": 3}]')
    (row,) = storage.rows(parse_json=False)
    assert plain(row) == {"_blob_content": '[{"id": 2}, {"id": 3}]', "_blob_name": "b.json"}


def test_every_row_knows_where_it_is_from(storage: Any) -> None:
    etag = storage.put("b.json", '[{"id": 2}, {"id": 3}]')
    rows = storage.rows()
    assert [row["_blob_index"] for row in rows] == [0, 1]
    assert {row["_blob_etag"] for row in rows} == {etag}
    assert storage.rows(blob_fields=[])[0] == {"id": 2, "_blob_name": "b.json"}
    schema = storage.source().output_schema
    assert {"_blob_name", "_blob_index", "_blob_etag"} <= schema.promises


@pytest.mark.parametrize(
    ("pattern", "prefix", "found"),
    [
        ("*", "", ["a.json", "in/b.json", "in/d.csv", "in/deep/c.json"]),
        ("in/*", "in/", ["in/b.json", "in/d.csv", "in/deep/c.json"]),
        ("in/*.json", "in/", ["in/b.json", "in/deep/c.json"]),
        ("in/?.csv", "in/", ["in/d.csv"]),
        ("a.json", "a.json", ["a.json"]),
        ("nothing*", "nothing", []),
    ],
)
def test_patterns(storage: Any, pattern: str, prefix: str, found: list[str]) -> None:
    for name in ("a.json", "in/b.json", "in/deep/c.json", "in/d.csv"):
        storage.put(name, "{}")
    assert [row["_blob_name"] for row in storage.rows(blob_pattern=pattern, parse_json=False)] == found
    assert AzureBlobSourceOptions(**storage.options(blob_pattern=pattern)).prefix == prefix


def test_csv_parquet_and_text_with_the_local_sources_options(storage: Any, tmp_path: Path) -> None:
    storage.put("t.csv", "User ID;n\n1;x\n2;y\n")
    rows = storage.rows(blob_path="t.csv", format="csv", delimiter=";", blob_fields=[])
    assert rows == [
        {"user_id": 1, "n": "x", "_blob_name": "t.csv"},
        {"user_id": 2, "n": "y", "_blob_name": "t.csv"},
    ]
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "t.parquet")
    storage.put("t.parquet", (tmp_path / "t.parquet").read_bytes())
    assert [row["id"] for row in storage.rows(blob_path="t.parquet", format="parquet")] == [1, 2]
    storage.put("t.txt", "one\ntwo\n")
    assert [row["line"] for row in storage.rows(blob_path="t.txt", format="text")] == ["one", "two"]
    storage.put("t.json", '{"data": {"rows": [{"id": 7}]}}')
    assert storage.rows(blob_path="t.json", format="json", data_key="data.rows")[0]["id"] == 7


def test_a_schema_coerces_and_quarantines(storage: Any) -> None:
    storage.put("t.csv", "id,n\n1,x\nmany,y\n")
    schema = {"mode": "fixed", "fields": ["id: int", "n: str"]}
    good, bad = storage.rows(format="csv", schema=schema)
    assert good["id"] == 1
    assert isinstance(bad, Quarantined)
    assert (bad.field, bad.line, bad.raw["_blob_name"], bad.raw["_blob_index"]) == ("id", 3, "t.csv", 1)


def test_bad_blobs_are_quarantined_one_by_one(storage: Any) -> None:
    storage.put("a.json", '[{"id": 1}]')
    storage.put("b.json", '[{"id": 2}, oops')
    storage.put("c.json", '{"id": 3}')
    good, bad, better = storage.rows(format="json")
    assert (good["id"], better["id"]) == (1, 3)
    assert isinstance(bad, Quarantined)
    assert bad.reason.startswith("blob b.json: ")
    assert str(Path("/tmp")) not in bad.reason
    assert bad.raw["_blob_name"] == "b.json"
    assert bad.raw["_blob_etag"]


def test_rows_before_the_fault_stay(storage: Any) -> None:
    many = ", ".join(f'{{"id": {number}}}' for number in range(2000))
    storage.put("b.json", f"[{many}, oops")
    storage.put("c.json", '{"id": 9999}')
    rows = storage.rows(format="json")
    assert [row["id"] for row in rows[:1000]] == list(range(1000))
    assert isinstance(rows[-2], Quarantined)
    assert f"(after {len(rows) - 2} rows)" in rows[-2].reason
    assert rows[-1]["id"] == 9999


def test_a_blob_that_changes_after_it_was_listed_is_an_error_of_that_blob(storage: Any) -> None:
    for name in ("a.json", "b.json", "c.json"):
        storage.put(name, '[{"id": 1}, {"id": 2}]')
    source = storage.source(prefetch=1)
    rows = source.load(PluginContext(run_id="run-1"))
    first = next(rows)
    storage.put("b.json", '{"id": 3}')
    storage.client.delete_blob(storage.container, "c.json")
    rest = list(rows)
    source.close()
    assert first["_blob_name"] == "a.json"
    assert [type(row) for row in rest] == [dict, Quarantined, Quarantined]
    assert "b.json: download_blob failed: changed" in rest[1].reason
    assert "c.json: download_blob failed: " in rest[2].reason


def test_an_archived_blob_says_how_to_get_it_back(storage: Any) -> None:
    storage.put("a.json", "{}")
    storage.client.set_tier(storage.container, "a.json", "Archive")
    (bad,) = storage.rows()
    assert "blob is archived" in bad.reason
    assert "rehydrate it first" in bad.reason


def test_resume_behind_every_row(storage: Any) -> None:
    storage.put("a.json", '[{"id": 1}, {"id": 2}]')
    storage.put("b.txt", "text")
    storage.put("c.jsonl", '{"id": 3}\nbroken\n{"id": 4}\n')
    storage.put("d.json", "{broken")
    storage.put("e.json", '{"id": 5}')
    source = storage.source()
    rows, positions = [], []
    for row in source.load(PluginContext(run_id="run-1")):
        rows.append(row)
        positions.append(json.loads(json.dumps(source.position())))
    source.close()
    assert len(rows) == 8
    for count, position in enumerate(positions, 1):
        again = storage.source()
        again.seek(position)
        assert list(again.load(PluginContext(run_id="run-1"))) == rows[count:]
        again.close()


def test_resume_when_the_blob_has_changed_or_gone(storage: Any) -> None:
    storage.put("a.json", '[{"id": 1}, {"id": 2}]')
    storage.put("b.json", '{"id": 3}')
    source = storage.source()
    next(source.load(PluginContext(run_id="run-1")))
    position = json.loads(json.dumps(source.position()))
    source.close()
    storage.put("a.json", '[{"id": 7}, {"id": 8}]')
    again = storage.source()
    again.seek(position)
    bad, good = again.load(PluginContext(run_id="run-1"))
    again.close()
    assert "it has changed since 1 rows of it were read" in bad.reason
    assert good["id"] == 3
    storage.client.delete_blob(storage.container, "a.json")
    last = storage.source()
    last.seek(position)
    bad, good = last.load(PluginContext(run_id="run-1"))
    last.close()
    assert "it is gone, after 1 rows of it were read" in bad.reason
    assert good["id"] == 3


def test_what_stops_the_run(storage: Any) -> None:
    with pytest.raises(SourceError, match=r"there is no blob .*/nothing\.json"):
        storage.rows(blob_path="nothing.json")
    with pytest.raises(SourceError, match="container not found"):
        storage.rows(container="nowhere")
    storage.put("a.json", "{}")
    with pytest.raises(SourceError, match="refused"):
        storage.rows(connection_string=None, account_key="d3Jvbmc=", account_name="devstoreaccount1",
                     account_url=storage.server.url)  # fmt: skip


def test_a_large_content_is_quarantined(storage: Any) -> None:
    storage.put("a.txt", "x" * 1000)
    (bad,) = storage.rows(max_content_bytes=999)
    assert "1,000 bytes, and one row may have 999" in bad.reason


def test_a_cache_fetches_what_changed(storage: Any, tmp_path: Path) -> None:
    storage.put("a.json", '{"id": 1}')
    storage.put("b.json", '{"id": 2}')
    cache = str(tmp_path / "cache")
    assert [row["id"] for row in storage.rows(cache_directory=cache)] == [1, 2]
    storage.put("b.json", '{"id": 3}')
    assert [row["id"] for row in storage.rows(cache_directory=cache)] == [1, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blob_path": "a", "blob_pattern": "b*"}, "blob_path or blob_pattern, not both"),
        ({"delimiter": ";"}, "delimiter is no option of format json: is `format` missing"),
        ({"format": "csv", "delimiter": ";;"}, "delimiter: String should have at most 1"),
        ({"format": "yaml"}, "format"),
        ({"connection_string": None}, "exactly one of: connection_string, account_key"),
        (
            {"connection_string": None, "account_name": "a", "use_managed_identity": True, "sas_token": "s"},
            "2 were given: sas_token, use_managed_identity",
        ),
    ],
)
def test_options_that_contradict_each_other(storage: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        storage.source(**options)


def test_quick_reads_give_the_same_rows(storage: Any) -> None:
    pytest.importorskip("obstore")
    for number in range(40):
        storage.put(f"{number:02}.json", json.dumps({"id": number, "text": "é", "big": 2**70, "x": 1.5}))
    storage.put("50.json", '[{"id": 50}, {"id": 51}]')
    storage.put("51.jsonl", '{"id": 52}\n{"id": 53}\n')
    storage.put("52.json", '{"id": 1, "id": 2}')
    storage.put("53.json", b'{"id": "\xff"}')
    storage.put("54.json", '{"id": NaN}')
    storage.put("55.json", '{"id": 1} more')
    storage.put("56 %.json", ' {"id": 54}')
    storage.put("57.json", "")
    assert storage.rows(quick_reads=True) == storage.rows()


def test_quick_reads_need_obstore(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elspeth.plugins.packs.azure.source.find_spec", lambda _name: None)
    with pytest.raises(SourceError, match=r'quick_reads needs obstore: pip install "elspeth\[smallblobs\]"'):
        storage.rows(quick_reads=True)


@pytest.mark.parametrize("size", [7, 2 * 1024 * 1024])
@pytest.mark.parametrize("quick", [False, True])
def test_rows_know_the_version_that_they_are_of(size: int, quick: bool) -> None:
    """The emulator keeps no versions, and a listing does not tell them: the answer to the read does."""
    if quick:
        pytest.importorskip("obstore")
    content = json.dumps({"id": "x" * (size - 9)}).encode()
    page = (
        "<EnumerationResults><Blobs><Blob><Name>a.json</Name><Properties><Etag>0x1</Etag>"
        f"<Content-Length>{len(content)}</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"
    )
    read = {"ETag": '"0x1"', "Last-Modified": "Fri, 27 Nov 2026 19:25:39 GMT", "x-ms-version-id": "v7"}

    def answer(asked: Asked) -> Answer:
        if "comp=list" in asked.path:
            return Answer(200, {"Content-Type": "application/xml"}, page.encode())
        return Answer(200, {**read, "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}, content)

    with BlobWire(answer) as wire:
        options = {"connection_string": wire.connection_string, "container": "data", "quick_reads": quick}
        source = AzureBlobSource({**options, "blob_fields": ["etag", "version"]})
        (row,) = source.load(PluginContext())
        source.close()
    assert isinstance(row, dict)
    assert (row["_blob_version"], row["_blob_etag"]) == ("v7", '"0x1"')
