"""What the doctor says of the services that a pipeline names."""

from pathlib import Path

import pytest
import yaml

from elspeth.api.doctor import Verdict
from elspeth.api.doctor_pipeline import examine_pipeline
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import ACCOUNT, Azurite


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
    assert "Storage Blob Data Contributor" in checks["sink refused"].remedy
    assert "create the container" in checks["sink nowhere"].remedy
    assert read_only not in str(checks)
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        assert list(client.list_blob_names("doctor")) == []
