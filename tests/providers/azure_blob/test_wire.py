"""What the emulator lacks or ignores in silence, looked at on the wire."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote_plus, urlsplit
from xml.etree import ElementTree

import pytest

from elspeth.providers.azure_blob.base import Pace
from elspeth.providers.azure_blob.calls import BlobCall, Retrying
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobArchivedError, BlobError
from elspeth.providers.azure_blob.info import BlobState
from elspeth.providers.azure_blob.queries import QueryFault
from elspeth.providers.azure_blob.retention import Retention
from elspeth.providers.azure_blob.sas import SasTerms
from elspeth.providers.azure_blob.uploads import Label
from elspeth.testing.blob_wire import Answer, Asked, BlobWire, query_answer

MOMENT = "Fri, 27 Nov 2026 19:25:39 GMT"
UNTIL = datetime(2033, 11, 27, 12, 30, tzinfo=UTC)
PROPERTIES = {
    "ETag": '"0x1"', "Last-Modified": MOMENT, "x-ms-blob-type": "BlockBlob",
    "x-ms-version-id": "2026-11-27T19:25:39.0000000Z",
}  # fmt: skip


@contextmanager
def serve(answer: Callable[[Asked], Answer]) -> Iterator[tuple[BlobWire, AzureBlobClient, list[BlobCall]]]:
    calls: list[BlobCall] = []
    pace = Pace(Retrying(attempts=3, sleep=lambda _seconds: None))
    with (
        BlobWire(answer) as wire,
        AzureBlobClient(connection_string=wire.connection_string, on_call=calls.append, pace=pace) as client,
    ):
        yield wire, client, calls


def asked_for(path: str) -> dict[str, str]:
    return {
        name: values[0] for name, values in parse_qs(urlsplit(path).query, keep_blank_values=True).items()
    }


# Queries.


def test_a_query_and_its_answer() -> None:
    records = [("resultData", [f"{number},é\n".encode() * 500]) for number in range(40)]
    body = query_answer(*records, ("progress", [9, 9]), ("end", [9]), per_block=3)
    with serve(lambda _asked: Answer(200, {"Content-Type": "avro/binary"}, body)) as (wire, client, calls):
        data = client.query_blob("data", "a.csv", "SELECT _1 FROM BlobStorage WHERE _2 > 3")
    assert data == b"".join(values[0] for _, values in records)
    (asked,) = wire.asked
    assert (asked.method, asked_for(asked.path)) == ("POST", {"comp": "query"})
    sent = ElementTree.fromstring(asked.body)
    assert sent.findtext("Expression") == "SELECT _1 FROM BlobStorage WHERE _2 > 3"
    assert [one.text for one in sent.iter("Type")] == ["delimited", "delimited"]
    assert {one.text for one in sent.iter("HasHeaders")} == {"true"}
    assert (calls[0].operation, calls[0].bytes_received, calls[0].request_id) == (
        "query_blob",
        len(data),
        "wire-1",
    )


def test_a_query_over_json_lines() -> None:
    body = query_answer(("resultData", [b'{"a":1}\n']), ("end", [8]))
    with serve(lambda _asked: Answer(200, {}, body)) as (wire, client, _):
        assert client.query_blob("data", "a", "SELECT * from BlobStorage", format="jsonl") == b'{"a":1}\n'
    assert [one.text for one in ElementTree.fromstring(wire.asked[0].body).iter("Type")] == ["json", "json"]


def test_a_row_that_a_query_can_not_read_is_not_left_out_in_silence() -> None:
    fault = ("error", [False, "InvalidTypeConversion", "not a number", 1234])
    body = query_answer(("resultData", [b"1\n"]), fault, ("resultData", [b"3\n"]), ("end", [9]))
    with serve(lambda _asked: Answer(200, {}, body)) as (wire, client, calls):
        with pytest.raises(BlobError, match="InvalidTypeConversion at byte 1,234: not a number") as raised:
            client.query_blob("data", "a", "SELECT * from BlobStorage")
        seen: list[QueryFault] = []
        assert client.query_blob("data", "a", "SELECT 1", on_fault=seen.append) == b"1\n3\n"
    assert raised.value.reason == "unreadable"
    assert seen == [QueryFault("InvalidTypeConversion", "not a number", 1234, fatal=False)]
    assert [call.reason for call in calls] == ["unreadable", ""]
    assert len(wire.asked) == 2


def test_a_query_that_breaks_off() -> None:
    fatal = query_answer(("resultData", [b"1\n"]), ("error", [True, "ParseError", "half a row", 7]))
    whole = query_answer(("resultData", [b"1\n"]), ("end", [2]))
    cut = Answer(200, {"Content-Length": str(len(whole) + 9), "Connection": "close"}, whole)
    with (
        serve(lambda _asked: Answer(200, {}, fatal)) as (_, client, _),
        pytest.raises(BlobError, match="half a"),
    ):
        client.query_blob("data", "a", "SELECT 1", on_fault=lambda _fault: None)
    answers = iter([Answer.error(503, "ServerBusy"), cut, Answer(200, {}, whole)])
    with serve(lambda _asked: next(answers)) as (_, client, calls):
        assert client.query_blob("data", "a", "SELECT 1") == b"1\n"
        assert calls[0].retries == 2
    refusal = Answer.error(400, "InvalidQuery")
    with serve(lambda _asked: refusal) as (_, client, _), pytest.raises(BlobError, match="InvalidQuery"):
        client.query_blob("data", "a", "SELEC")


# Immutability.


def test_a_blob_that_is_kept_from_the_start() -> None:
    kept = Label(retention=Retention(UNTIL, locked=True, hold=True))
    with serve(lambda _asked: Answer(201, PROPERTIES)) as (wire, client, _):
        client.upload_blob("worm", "a", b"x", label=kept)
        client.commit_blocks("worm", "b", ["aaaa"], sha256="0", label=kept)
        client.upload_blob("worm", "c", b"x")
        client.upload_blob("worm", "d", b"x", label=Label(retention=Retention(None, hold=True)))
    whole, blocks, plain, held = [asked.headers for asked in wire.asked]
    for headers in (whole, blocks):
        assert headers["x-ms-immutability-policy-mode"] == "Locked"
        assert headers["x-ms-immutability-policy-until-date"] == "Sun, 27 Nov 2033 12:30:00 GMT"
        assert headers["x-ms-legal-hold"] == "true"
    assert not [name for name in plain if "immutability" in name or "legal" in name]
    assert held["x-ms-legal-hold"] == "true"
    assert "x-ms-immutability-policy-mode" not in held


def test_keeping_what_is_there_already() -> None:
    with serve(lambda _asked: Answer(200, PROPERTIES)) as (wire, client, calls):
        client.keep_until("worm", "a", UNTIL)
        client.keep_no_longer("worm", "a")
        client.set_legal_hold("worm", "a", hold=True)
    put, drop, hold = wire.asked
    assert (put.method, asked_for(put.path)) == ("PUT", {"comp": "immutabilityPolicies"})
    assert put.headers["x-ms-immutability-policy-mode"] == "Unlocked"
    assert put.headers["x-ms-immutability-policy-until-date"] == "Sun, 27 Nov 2033 12:30:00 GMT"
    assert (drop.method, asked_for(drop.path)) == ("DELETE", {"comp": "immutabilityPolicies"})
    assert (asked_for(hold.path), hold.headers["x-ms-legal-hold"]) == ({"comp": "legalhold"}, "true")
    assert [call.operation for call in calls] == [
        "set_immutability_policy",
        "delete_immutability_policy",
        "set_legal_hold",
    ]


def test_what_a_policy_forbids_is_told() -> None:
    refusal = Answer.error(409, "BlobImmutableDueToPolicy")
    with serve(lambda _asked: refusal) as (_, client, _), pytest.raises(BlobError) as raised:
        client.delete_blob("worm", "a")
    assert raised.value.reason == "immutable"
    assert "immutability policy" in raised.value.fix


def test_retention_is_known_from_the_properties() -> None:
    kept = {"x-ms-immutability-policy-until-date": MOMENT, "x-ms-immutability-policy-mode": "locked"}
    with serve(lambda _asked: Answer(200, {**PROPERTIES, **kept, "x-ms-legal-hold": "true"})) as (
        _,
        client,
        _,
    ):
        found = client.get_blob_properties("worm", "a")
    assert found.immutable_until == datetime(2026, 11, 27, 19, 25, 39, tzinfo=UTC)
    assert found.legal_hold


# Versions.


def test_versions() -> None:
    first = "2026-11-27T19:25:38.0000000Z"

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, {**PROPERTIES, "Content-Range": "bytes 0-6/7"}, b"content")
        return Answer(201 if asked.method == "PUT" else 202 if asked.method == "DELETE" else 200, PROPERTIES)

    with serve(answer) as (wire, client, _):
        assert client.upload_blob("data", "a", b"x").version_id == PROPERTIES["x-ms-version-id"]
        assert client.download_blob("data", "a", version=first) == b"content"
        assert client.get_blob_properties("data", "a", version=first).version_id
        client.delete_blob("data", "a", version=first)
    assert [asked_for(asked.path).get("versionid") for asked in wire.asked] == [None, first, first, first]
    assert "x-ms-delete-snapshots" not in wire.asked[-1].headers


def test_a_listing_of_versions_and_of_what_was_deleted() -> None:
    page = """<?xml version="1.0" encoding="utf-8"?>
    <EnumerationResults><Blobs>
      <Blob><Name Encoded="true">a%FF%20b</Name><VersionId>v1</VersionId><Deleted>true</Deleted><Properties>
        <Etag>0x1</Etag><Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType>
        <ImmutabilityPolicyUntilDate>Fri, 27 Nov 2026 19:25:39 GMT</ImmutabilityPolicyUntilDate>
        <LegalHold>true</LegalHold></Properties></Blob>
      <Blob><Name>b</Name><VersionId>v2</VersionId><IsCurrentVersion>true</IsCurrentVersion><Properties>
        <Etag>"0x2"</Etag><Content-Length>0</Content-Length><AccessTier>Archive</AccessTier></Properties></Blob>
      <Blob><Name>c</Name><Properties><Etag>0x3</Etag><AccessTier>Archive</AccessTier>
        <ArchiveStatus>rehydrate-pending-to-hot</ArchiveStatus></Properties></Blob>
    </Blobs><NextMarker/></EnumerationResults>"""
    headers = {"Content-Type": "application/xml"}
    with serve(lambda _asked: Answer(200, headers, page.encode())) as (wire, client, _):
        gone, archived, coming = client.list_blobs("data", include=("versions", "deleted"))
    assert asked_for(wire.asked[0].path)["include"] == "versions,deleted"
    assert (gone.name, gone.version_id, gone.state) == ("a� b", "v1", BlobState.DELETED)
    assert gone.immutable_until is not None
    assert gone.legal_hold
    assert (archived.version_id, archived.etag, archived.state) == ("v2", '"0x2"', BlobState.ARCHIVED)
    assert coming.state is BlobState.PENDING


# States and tiers.


@pytest.mark.parametrize(
    ("listed", "state"),
    [
        ("<Blob><Name>a</Name><Deleted>true</Deleted><Properties/></Blob>", BlobState.DELETED),
        ("<Blob><Name>a</Name><Properties/></Blob>", BlobState.PENDING),
        ("<Blob><Name>ab</Name><Deleted>true</Deleted><Properties/></Blob>", BlobState.DESTROYED),
        ("", BlobState.DESTROYED),
    ],
)
def test_the_state_of_what_is_not_there(listed: str, state: BlobState) -> None:
    page = f"<EnumerationResults><Blobs>{listed}</Blobs><NextMarker/></EnumerationResults>".encode()

    def answer(asked: Asked) -> Answer:
        if asked.method == "HEAD":
            return Answer.error(404, "BlobNotFound")
        return Answer(200, {"Content-Type": "application/xml"}, page)

    with serve(answer) as (wire, client, _):
        assert client.blob_state("data", "a") is state
    assert asked_for(wire.asked[-1].path)["include"] == "deleted,uncommittedblobs"


def test_a_deleted_blob_comes_back() -> None:
    with serve(lambda _asked: Answer(200, PROPERTIES)) as (wire, client, _):
        client.undelete_blob("data", "a")
    assert asked_for(wire.asked[0].path) == {"comp": "undelete"}


def test_rehydration() -> None:
    coming = {**PROPERTIES, "x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-cool"}

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer.error(409, "BlobBeingRehydrated")
        return Answer(202, PROPERTIES) if asked.method == "PUT" else Answer(200, coming)

    with serve(answer) as (wire, client, _):
        client.rehydrate("data", "a", tier="Cool", urgent=True)
        assert client.blob_state("data", "a") is BlobState.PENDING
        with pytest.raises(BlobArchivedError) as raised:
            client.download_blob("data", "a")
    assert asked_for(wire.asked[0].path) == {"comp": "tier"}
    assert wire.asked[0].headers["x-ms-access-tier"] == "Cool"
    assert wire.asked[0].headers["x-ms-rehydrate-priority"] == "High"
    assert "rehydrate" in raised.value.fix


# Signatures.


def test_a_signature_for_some_addresses_only() -> None:
    with serve(lambda _asked: Answer()) as (_, client, _):
        terms = SasTerms(ip="168.1.5.60-168.1.5.70", https_only=True)
        signed = parse_qs(client.generate_sas("data", "a", "r", terms=terms))
        free = parse_qs(client.generate_sas("data", "a", "r"))
        other = parse_qs(client.generate_sas("data", "a", "r", terms=SasTerms(ip="168.1.5.61")))
    assert signed["sip"] == ["168.1.5.60-168.1.5.70"]
    assert signed["spr"] == ["https"]
    assert "sip" not in free
    assert free["spr"] == ["https,http"]  # this account speaks http
    assert len({unquote_plus(one["sig"][0]) for one in (signed, free, other)}) == 3
    with AzureBlobClient("a2V5", "acme") as public:
        assert parse_qs(public.generate_sas("data", "a", "r"))["spr"] == ["https"]
