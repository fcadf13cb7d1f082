"""What the doctor says of the services that a pipeline names."""

from pathlib import Path

import pytest
import yaml

from elspeth.api.doctor import Verdict
from elspeth.api.doctor_pipeline import examine_pipeline
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import ACCOUNT, KEY, Azurite
from elspeth.testing.blob_wire import Answer, BlobWire


def test_credentials_and_roles(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        client.create_container("doctor")
        read_only = client.generate_sas("doctor", "", "rl")
    by_sas = {
        "account_name": ACCOUNT,
        "account_url": azurite.url,
        "sas_token": read_only,
        "container": "doctor",
    }
    by_key = {"connection_string": azurite.connection_string}
    sinks = {
        "good": {**by_key, "container": "doctor", "blob_path": "a.jsonl"},
        "refused": {**by_sas, "blob_path": "b.jsonl"},
        "nowhere": {**by_key, "container": "not-there", "blob_path": "c.jsonl"},
        "wrong": {"container": "doctor", "blob_path": "d.jsonl"},
    }
    document = {
        "source": {"plugin": "azure_blob", "on_success": "good", "options": by_sas},
        "sinks": {name: {"plugin": "azure_blob", "options": options} for name, options in sinks.items()},
    }
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", read_only)
    document["landscape"] = {"anchor": f"{azurite.url}/doctor/heads"}
    document["sinks"]["local"] = {"plugin": "json", "options": {"path": "x.jsonl"}}
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    checks = {check.name: check for check in examine_pipeline(file, environ={})}
    assert {name: check.verdict for name, check in checks.items()} == {
        "source source": Verdict.OK,
        "sink good": Verdict.OK,
        "sink refused": Verdict.FAIL,
        "sink nowhere": Verdict.FAIL,
        "sink wrong": Verdict.FAIL,
        "landscape.anchor": Verdict.FAIL,
    }
    assert "Storage Blob Data Contributor" in checks["landscape.anchor"].remedy
    assert checks["source source"].what == f"sas_token may read {azurite.url}/doctor"
    assert "sas_token may not write" in checks["sink refused"].what
    assert "make one for container doctor with rcwl" in checks["sink refused"].remedy
    assert "create the container" in checks["sink nowhere"].remedy
    assert read_only not in str(checks)
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        assert list(client.list_blob_names("doctor")) == []


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (
            403,
            "AuthorizationPermissionMismatch",
            "this identity lacks the role Storage Blob Data Contributor",
        ),
        (403, "AuthorizationFailure", "the account's firewall refuses this machine"),
        (403, "AuthenticationFailed", "the account_key is wrong or has expired"),
        (404, "ContainerNotFound", "create the container"),
    ],
)
def test_what_is_missing(tmp_path: Path, status: int, code: str, remedy: str) -> None:
    with BlobWire(lambda _asked: Answer.error(status, code)) as wire:
        options = {"account_name": "acme", "account_url": wire.url, "account_key": KEY, "container": "doctor"}
        document = {
            "source": {"plugin": "json", "options": {"path": "in.json"}},
            "sinks": {"out": {"plugin": "azure_blob", "options": {**options, "blob_path": "out.jsonl"}}},
        }
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        (check,) = examine_pipeline(file, environ={})
    assert check.verdict is Verdict.FAIL
    assert remedy in check.remedy
    assert code in check.what


def test_a_credential_that_gives_no_token(tmp_path: Path) -> None:
    options = {"account_name": "acme", "use_workload_identity": True, "client_id": "x", "tenant_id": "y"}
    document = {
        "source": {"plugin": "azure_blob", "options": {**options, "container": "doctor"}},
        "sinks": {"out": {"plugin": "json", "options": {"path": "out.json"}}},
    }
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    (check,) = examine_pipeline(file, environ={})
    assert check.verdict is Verdict.FAIL
    assert "use_workload_identity" in check.what + check.remedy
