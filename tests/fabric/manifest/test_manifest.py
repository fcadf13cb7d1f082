"""Only what a pinned key signed, exactly as it is and in its time, is believed."""

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.api.keys import new_key, public_key
from elspeth.api.manifest import show_manifest, sign_manifest
from elspeth.cli.main import main
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.fabric.manifest import ManifestError, parse_manifest, require_signed
from elspeth.fabric.manifest.dsse import encoded

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MANIFEST: dict[str, Any] = {
    "provider": "azure_vm",
    "version": "2024-07-01",
    "capabilities": [
        {"id": "lifecycle", "operations": ["create", "delete"],
         "slo_targets": {"availability": 0.999, "latency_p95_ms": 90000},
         "breaking_changes": ["2025: no basic IPs"]}
    ],
    "limits": {"vms": 100},
    "expires_at": "2027-01-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A signed manifest beside its key pair."""
    new_key(tmp_path, "publisher")
    (tmp_path / "m.json").write_text(json.dumps(MANIFEST, indent=3), encoding="utf-8")
    return sign_manifest(tmp_path / "m.json", tmp_path / "elspeth-signing.key").path


def refused(path: Path, key: Path, now: datetime = NOW, provider: str = "azure_vm") -> str:
    with pytest.raises(ManifestError) as caught:
        require_signed(path, [public_key(str(key))], now, provider)
    return caught.value.reason


def test_a_signed_manifest_is_believed(signed: Path, tmp_path: Path) -> None:
    key = public_key(str(tmp_path / "elspeth-signing.pub"))
    manifest = require_signed(signed, [key], NOW, "azure_vm")
    assert manifest.capabilities[0].operations == ("create", "delete")
    envelope = json.loads(signed.read_text(encoding="utf-8"))
    assert b64decode(envelope["payload"]) == (tmp_path / "m.json").read_bytes()
    assert key.verifies(
        b64decode(envelope["signatures"][0]["sig"]),
        encoded(envelope["payloadType"], (tmp_path / "m.json").read_bytes()),
    )


def test_the_bytes_that_are_signed_are_those_of_the_protocol() -> None:
    # The example of the DSSE specification.
    assert encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_may_not_be_believed(signed: Path, tmp_path: Path) -> None:
    pub = tmp_path / "elspeth-signing.pub"
    other = new_key(tmp_path / "other", "publisher").public
    assert refused(tmp_path / "none.json", pub) == "missing"
    assert refused(tmp_path / "m.json", pub) == "unsigned"
    assert refused(signed, other) == "untrusted"
    assert refused(signed, pub, now=datetime(2027, 1, 1, tzinfo=UTC)) == "expired"
    assert refused(signed, pub, provider="azure_blob") == "wrong_provider"
    with pytest.raises(UsageError, match="no key is trusted"):
        require_signed(signed, [], NOW)


def test_a_key_inside_the_file_proves_nothing(signed: Path, tmp_path: Path) -> None:
    """Somebody signs anew with a key of their own, and writes the old key's id beside it."""
    other = new_key(tmp_path / "other", "publisher")
    (tmp_path / "forged.json").write_text(json.dumps({**MANIFEST, "limits": {"vms": 9999}}), encoding="utf-8")
    forged = sign_manifest(tmp_path / "forged.json", other.private).path
    document = json.loads(forged.read_text(encoding="utf-8"))
    document["signatures"][0]["keyid"] = json.loads(signed.read_text(encoding="utf-8"))["signatures"][0][
        "keyid"
    ]
    document["key"] = other.verifier
    forged.write_text(json.dumps(document), encoding="utf-8")
    assert refused(forged, tmp_path / "elspeth-signing.pub") == "untrusted"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(min_value=0))
def test_no_changed_bit_goes_unseen(signed: Path, tmp_path: Path, bit: int) -> None:
    document = json.loads(signed.read_text(encoding="utf-8"))
    payload = bytearray(b64decode(document["payload"]))
    bit %= len(payload) * 8
    payload[bit // 8] ^= 1 << bit % 8
    document["payload"] = b64encode(bytes(payload)).decode()
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises((ManifestError, UsageError)):
        require_signed(altered, [public_key(str(tmp_path / "elspeth-signing.pub"))], NOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no manifest"),
        ('{"provider": "a", "provider": "b"}', "a key is there twice"),
        (json.dumps({**MANIFEST, "extra": 1}), "extra"),
        (json.dumps({**MANIFEST, "version": "v1"}), "version"),
        (json.dumps({**MANIFEST, "capabilities": []}), "capabilities"),
        (json.dumps({**MANIFEST, "capabilities": MANIFEST["capabilities"] * 2}), "twice"),
        (json.dumps({**MANIFEST, "expires_at": "2027-01-01T00:00:00"}), "time zone"),
        (json.dumps({**MANIFEST, "limits": {"vms": "NaN"}}) + "x", "no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_manifest(text.encode())


def test_signing_writes_over_nothing(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        sign_manifest(tmp_path / "m.json", tmp_path / "elspeth-signing.key")
    with pytest.raises(UsageError, match="signed already"):
        sign_manifest(signed, tmp_path / "elspeth-signing.key", tmp_path / "twice.json")
    with pytest.raises(NotFoundError):
        show_manifest(tmp_path / "none.json")


def test_the_commands(signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pub, key = str(tmp_path / "elspeth-signing.pub"), str(tmp_path / "elspeth-signing.key")
    assert main(["manifest", "show", str(signed)]) == 0
    assert "lifecycle: create, delete" in capsys.readouterr().out
    assert main(["manifest", "show", str(signed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["limits"] == {"vms": 100.0}
    assert main(["manifest", "verify", str(signed), "--key", pub, "--provider", "azure_vm"]) == 0
    assert "99.9000% of calls succeed, p95 90000 ms" in capsys.readouterr().out
    assert main(["manifest", "verify", str(signed), "--key", pub, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["manifest", "verify", str(tmp_path / "m.json"), "--key", pub]) == 1
    assert "is not signed" in capsys.readouterr().err
    out = str(tmp_path / "again.json")
    assert main(["manifest", "sign", str(tmp_path / "m.json"), "--key", key, "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == out
