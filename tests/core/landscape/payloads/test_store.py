"""Large contents go to segments and come back; small ones don't; damage is named."""

import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from elspeth.contracts.errors import LandscapeError
from elspeth.core.canonical import dump
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import PathBook, Step
from elspeth.core.landscape.payloads.forms import (
    Reference,
    hash_of_purged,
    is_purged,
    parse_reference,
    purged,
)
from elspeth.core.landscape.payloads.purge import purge_run
from elspeth.core.landscape.payloads.segments import Segment, read_text, write_segment
from elspeth.core.landscape.payloads.store import PATH_VARIABLE
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.tables import runs_table, traces_table

RUN = "20261121T021530Z-abcdef"
LONG = "long " * 2000


def record(db: LandscapeDB, recording: Any, *rows: dict[str, Any]) -> None:
    run = recording(db, RUN)
    run.graph({"orders": "source", "approved": "sink"}, [])
    for number, row in enumerate(rows):
        run.token(number, 0, row, [(Step("approved", ending="sink", sink="approved"), None)])
    run.commit()


def stored(db: LandscapeDB) -> list[str]:
    with db.engine.connect() as connection:
        return list(
            connection.execute(select(traces_table.c.payload).order_by(traces_table.c.row_no)).scalars()
        )


@pytest.fixture
def filled(landscape: LandscapeDB, recording: Any, tmp_path: Path) -> LandscapeDB:
    landscape.payloads.base = tmp_path / "payloads"
    record(
        landscape,
        recording,
        {"id": 0},
        {"id": 1, "text": LONG},
        {"id": 2, "text": LONG + "!"},
        {"id": 1, "text": LONG},
    )
    return landscape


def test_large_rows_go_to_one_segment_and_read_as_they_were(filled: LandscapeDB, tmp_path: Path) -> None:
    small, first, other, again = stored(filled)
    assert small == "[0]"
    assert first.startswith(f"@{RUN}/000001-")
    assert first == again
    assert other != first
    [segment] = (tmp_path / "payloads" / RUN).iterdir()
    assert segment.stat().st_size < 2000
    reader = LandscapeReader(filled)
    assert reader.row_lineage(RUN, 1).source_data == {"id": 1, "text": LONG}
    assert reader.row_lineage(RUN, 2).source_data == {"id": 2, "text": LONG + "!"}
    assert reader.find_rows(RUN, lambda row: "!" in str(row.get("text"))) == [2]


def test_a_store_that_has_moved_is_found_where_the_environment_says(
    filled: LandscapeDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.rename(tmp_path / "payloads", tmp_path / "moved")
    with pytest.raises(LandscapeError, match="is missing"):
        LandscapeReader(filled).row_lineage(RUN, 1)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "moved"))
    assert LandscapeReader(filled).row_lineage(RUN, 1).source_data == {"id": 1, "text": LONG}


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda path: path.unlink(), "is missing: there is no file"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "is truncated: 40 bytes are left"),
        (lambda path: path.write_bytes(b""), "does not begin as a segment does"),
        (lambda path: path.write_bytes(b"X" + path.read_bytes()[1:]), "does not begin as a segment does"),
        (lambda path: path.write_bytes(path.read_bytes()[:30] + bytes(4000)), "can't be decompressed"),
    ],
)
def test_damage_is_an_error_that_names_the_segment(
    filled: LandscapeDB, tmp_path: Path, harm: Any, what: str
) -> None:
    [segment] = (tmp_path / "payloads" / RUN).iterdir()
    harm(segment)
    with pytest.raises(LandscapeError, match=what) as raised:
        LandscapeReader(filled).row_lineage(RUN, 1)
    assert segment.name in str(raised.value)
    assert LandscapeReader(filled).row_lineage(RUN, 0).source_data == {"id": 0}


def test_what_texts_have_in_common_is_there_once(tmp_path: Path) -> None:
    random = Random(5)
    page = "".join(random.choices("abcdefghij klmnopqrst uvwxyz", k=20_000))
    segment = Segment(tmp_path, "r/1.seg")
    texts = [f"{page} question {number}" for number in range(100)]
    references = [*segment.put(texts[:1]), *segment.put(texts[1:50]), *segment.put(texts[50:])]
    path = tmp_path / "r" / "1.seg"
    assert path.stat().st_size < 25_000
    assert [read_text(path, reference) for reference in references] == texts
    # Without the first, the others can't be read, and that is said.
    path.write_bytes(path.read_bytes()[:30] + bytes(100) + path.read_bytes()[130:])
    with pytest.raises(LandscapeError, match="damaged"):
        read_text(path, references[7])


def test_another_content_in_its_place_is_found(tmp_path: Path) -> None:
    [reference] = write_segment(tmp_path, "r/1.seg", ["the truth"])
    path = tmp_path / "r" / "1.seg"
    packed = zstandard.ZstdCompressor(level=3).compress(b"a lie....")
    path.write_bytes(path.read_bytes()[: reference.offset] + packed)
    lie = Reference("r/1.seg", reference.offset, len(packed), reference.sha256)
    with pytest.raises(LandscapeError, match="another hash"):
        read_text(path, lie)


def test_a_store_that_can_t_be_written_stops_the_commit(
    landscape: LandscapeDB, recording: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    landscape.payloads.base = tmp_path / "file"
    with pytest.raises(LandscapeError, match="the payload store can't be written"):
        record(landscape, recording, {"id": 1, "text": LONG})
    assert stored(landscape) == []


def test_in_memory_everything_stays_in_memory(recording: Any) -> None:
    db = LandscapeDB.in_memory()
    record(db, recording, {"id": 1, "text": LONG})
    assert stored(db) == [dump([1, LONG]).decode()]
    db.close()


SINGLE = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip


@settings(max_examples=100)
@given(st.recursive(SINGLE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_value_of_a_user_s_looks_like_a_reference_or_a_purge(value: Any) -> None:
    assert not dump(value).decode().startswith(("@", "!"))


@settings(max_examples=50)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=20))
def test_what_goes_into_a_segment_comes_out(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    base = tmp_path_factory.mktemp("store")
    references = write_segment(base, "run/1.seg", texts)
    assert [read_text(base / "run/1.seg", reference) for reference in references] == texts
    assert [parse_reference(str(reference)) for reference in references] == references


@pytest.mark.parametrize("text", ["@", "@a:b", "@../x:1:2:ab", "@a:1:2", "@a:01:2:x", "plain"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(LandscapeError, match="can't be read"):
        parse_reference(text)


def test_the_mark_of_a_purge_keeps_the_hash() -> None:
    digest = bytes(range(32))
    assert is_purged(purged(digest))
    assert hash_of_purged(purged(digest)) == digest
    assert not is_purged("[1]")
    assert not is_purged(None)
    for wrong in ("!", "!zz", "!" + "ab" * 31, "!" + "AB" * 32):
        with pytest.raises(ValueError, match=r"."):
            hash_of_purged(wrong)


def test_a_commit_that_fails_leaves_only_a_segment_that_a_purge_collects(
    filled: LandscapeDB, recording: Any, tmp_path: Path
) -> None:
    [segment] = (tmp_path / "payloads" / RUN).iterdir()
    torn = recording.__new__(recording)
    torn.db, torn.run_id, torn.traces, torn.errors, torn.run_no = filled, RUN, [], [], 1
    torn.book = PathBook(1, 100)
    torn.token(0, 0, {"id": 9, "text": LONG}, [(Step("approved", ending="sink", sink="approved"), None)])
    with pytest.raises(LandscapeError, match="can't be written"):
        torn.commit()
    left = set((tmp_path / "payloads" / RUN).iterdir())
    assert len(left) == 2
    assert stored(filled)[0] == "[0]"
    assert LandscapeReader(filled).row_lineage(RUN, 1).source_data == {"id": 1, "text": LONG}
    with filled.engine.begin() as connection:
        connection.execute(update(runs_table).values(status="interrupted"))
    purge_run(filled, LandscapeReader(filled).run(RUN), datetime.now(UTC), reason={})
    assert segment in left
    assert not (tmp_path / "payloads" / RUN).exists()
