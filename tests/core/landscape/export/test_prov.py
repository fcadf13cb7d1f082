"""PROV-JSON: what the specification asks for is there, and another library reads it as the same graph."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from prov.model import ProvActivity, ProvDocument, ProvEntity

from elspeth.api.export import export
from elspeth.core.canonical import load, row_digest
from elspeth.core.landscape.database import LandscapeDB

RUN = "20261121T021530Z-abcdef"
# PROV-JSON, section 3: what the members of each relation must be.
REQUIRED = {
    "wasGeneratedBy": {"prov:entity"},
    "used": {"prov:activity"},
    "wasInformedBy": {"prov:informed", "prov:informant"},
    "wasDerivedFrom": {"prov:generatedEntity", "prov:usedEntity"},
    "wasAssociatedWith": {"prov:activity"},
    "hadMember": {"prov:collection", "prov:entity"},
}
REFERS = {
    "prov:entity": "entity", "prov:activity": "activity", "prov:informed": "activity", "prov:agent": "agent",
    "prov:informant": "activity", "prov:generatedEntity": "entity", "prov:usedEntity": "entity",
    "prov:collection": "entity", "prov:plan": "entity",
}  # fmt: skip


@pytest.fixture
def prov(sqlite_url: str, record_orders: Callable[..., Any], tmp_path: Any) -> Callable[..., dict[str, Any]]:
    db = LandscapeDB.from_url(sqlite_url)
    record_orders(db, RUN)
    db.close()

    def make(row: int | str | None = None) -> dict[str, Any]:
        path = tmp_path / "prov.json"
        export(RUN, path, format="prov", row=row, database=sqlite_url)
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    return make


@pytest.mark.parametrize("row", [None, 0, 1, 3, 4, 5])
def test_the_document_is_what_the_specification_says(prov: Callable[..., Any], row: int | None) -> None:
    document = prov(row)
    assert set(document) <= {"prefix", "entity", "activity", "agent", *REQUIRED}
    for section in ("entity", "activity", "agent"):
        for name in document[section]:
            assert name.partition(":")[0] in document["prefix"]
    for section, required in REQUIRED.items():
        for relation in document.get(section, {}).values():
            assert required <= set(relation)
            for end, target in relation.items():
                assert target in document[REFERS[end]], (section, end, target)


@pytest.mark.parametrize("row", [None, 1, 5])
def test_another_library_reads_the_same_graph(prov: Callable[..., Any], row: int | None) -> None:
    document = prov(row)
    read = ProvDocument.deserialize(content=json.dumps(document), format="json")
    assert len(list(read.get_records(ProvEntity))) == len(document["entity"])
    assert len(list(read.get_records(ProvActivity))) == len(document["activity"])
    assert len(list(read.get_records())) == sum(len(v) for k, v in document.items() if k != "prefix")
    for activity in read.get_records(ProvActivity):
        assert activity.get_startTime() is not None
    assert ProvDocument.deserialize(content=read.serialize(format="json"), format="json") == read


def test_a_row_s_versions_carry_their_values_and_hashes(prov: Callable[..., Any]) -> None:
    entities = prov(0)["entity"]
    versions = {name: item for name, item in entities.items() if name.startswith("row:")}
    assert sorted(versions) == [f"row:{RUN}-0-0/0", f"row:{RUN}-0-0/1"]
    for version in versions.values():
        assert row_digest(load(version["prov:value"])).hex() == version["elspeth:sha256"]


def test_a_forked_row_derives_its_copies_from_the_row_at_the_fork(prov: Callable[..., Any]) -> None:
    derived = [
        (relation["prov:generatedEntity"], relation["prov:usedEntity"])
        for relation in prov(1)["wasDerivedFrom"].values()
    ]
    at_fork = f"row:{RUN}-1-0/1"
    assert (f"row:{RUN}-1-1/0", at_fork) in derived
    assert (f"row:{RUN}-1-2/0", at_fork) in derived


def test_the_output_has_the_row_as_a_member(prov: Callable[..., Any]) -> None:
    document = prov(0)
    [member] = document["hadMember"].values()
    assert document["entity"][member["prov:collection"]]["prov:location"] == "out/approved.csv"
    assert member["prov:entity"] == f"row:{RUN}-0-0/1"


def test_a_run_leads_from_source_to_output(prov: Callable[..., Any]) -> None:
    document = prov()
    [made] = document["wasGeneratedBy"].values()
    assert made["prov:activity"] == f"node:{RUN}/approved"
    [used] = document["used"].values()
    assert used["prov:activity"] == f"node:{RUN}/orders"
