"""The options of the ``azure_blob`` source."""

from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from elspeth.plugins.packs.azure.access import AzureAccess
from elspeth.plugins.sources.base import FileSource, SourceOptions
from elspeth.plugins.sources.csv_source import CsvSource
from elspeth.plugins.sources.json_source import JsonSource
from elspeth.plugins.sources.parquet_source import ParquetSource
from elspeth.plugins.sources.text_source import TextSource

Format = Literal["json", "jsonl", "csv", "parquet", "text", "raw"]
READERS: dict[str, type[FileSource]] = {
    "json": JsonSource,
    "jsonl": JsonSource,
    "csv": CsvSource,
    "parquet": ParquetSource,
    "text": TextSource,
}
_READER_OPTIONS = (
    "encoding",
    "max_field_bytes",
    "field_mapping",
    "delimiter",
    "quotechar",
    "has_header",
    "columns",
    "skip_rows",
    "data_key",
    "max_depth",
    "field",
    "line_number",
)
_MAGIC = "*?["
BlobField = Literal["name", "index", "etag", "version"]


class AzureBlobSourceOptions(SourceOptions, AzureAccess):
    """Options of the ``azure_blob`` source."""

    blob_pattern: str = Field(
        default="*",
        min_length=1,
        description="Which blobs, in the order of their names: a glob, in which * stands for any characters, "
        "slashes too. What comes before the first * ? [ is asked of the service as a prefix.",
    )
    blob_path: str | None = Field(default=None, min_length=1, description="Just this blob.")
    parse_json: bool = Field(
        default=True,
        description="Without `format`: read JSON objects, arrays and (by the name) JSON lines as rows; what "
        "is no JSON is one row per blob, in `_blob_content`. false: every blob is one row.",
    )
    format: Format | None = Field(
        default=None,
        description="json, jsonl, csv, parquet, text (a row per line) or raw (a row per blob); a blob that "
        "is not of this format is quarantined. Default: see parse_json.",
    )
    blob_fields: tuple[BlobField, ...] = Field(
        default=("name", "index", "etag"),
        description="What every row is told of where it is from: `_blob_name` (always), `_blob_index` (its "
        "place in the blob, from 0), `_blob_etag`, `_blob_version` (where versioning is on).",
    )
    prefetch: int = Field(
        default=8, ge=1, le=64, description="How many blobs are fetched at once, ahead of the one read."
    )
    prefetch_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="How many bytes may be fetched ahead; they wait in temporary files.",
    )
    quick_reads: bool = Field(
        default=False,
        description="Read blobs up to 1 MiB through obstore (extra `smallblobs`): several times as fast, but "
        "the calls are on record without the service's request ids.",
    )
    max_content_bytes: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="A blob that would be one row and is larger than this is quarantined.",
    )
    cache_directory: str | None = Field(
        default=None, description="Keep blobs here and fetch again only what changed; default: no cache."
    )
    cache_bytes: int = Field(
        default=10 * 1024 * 1024 * 1024, gt=0, description="How large the cache may become."
    )
    encoding: str | None = Field(default=None, description="As for the csv, json and text sources.")
    max_field_bytes: int | None = Field(default=None, description="As for the csv, json and text sources.")
    field_mapping: dict[str, str] | None = Field(
        default=None, description="As for the csv, json and parquet sources."
    )
    delimiter: str | None = Field(default=None, description="As for the csv source.")
    quotechar: str | None = Field(default=None, description="As for the csv source.")
    has_header: bool | None = Field(default=None, description="As for the csv source.")
    columns: tuple[str, ...] | None = Field(default=None, description="As for the csv and parquet sources.")
    skip_rows: int | None = Field(default=None, description="As for the csv source.")
    data_key: str | None = Field(default=None, description="As for the json source.")
    max_depth: int | None = Field(default=None, description="As for the json source.")
    field: str | None = Field(default=None, description="As for the text source.")
    line_number: str | None = Field(default=None, description="As for the text source.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.blob_path and "blob_pattern" in self.model_fields_set:
            raise ValueError("give blob_path or blob_pattern, not both")
        given = self.reader_options()
        if self.format == "raw" or (not self.parse_json and self.format is None):
            unknown = set(given)
        else:
            model = READERS[self.format or "json"].options_model
            unknown = set(given) - set(model.model_fields)
            self._try(model, {name: value for name, value in given.items() if name not in unknown})
        if unknown:
            raise ValueError(
                f"{sorted(unknown)[0]} is no option of format {self.format or 'json'}: is `format` missing?"
            )
        return self

    def _try(self, model: type[Any], given: dict[str, Any]) -> None:
        try:
            model.model_validate({"path": "x", **given})
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    @property
    def prefix(self) -> str:
        """The fixed part of the pattern."""
        if self.blob_path:
            return self.blob_path
        ends = [self.blob_pattern.find(sign) for sign in _MAGIC if sign in self.blob_pattern]
        return self.blob_pattern[: min(ends)] if ends else self.blob_pattern

    def wants(self, name: str) -> bool:
        """Whether a blob is to be read."""
        return name == self.blob_path if self.blob_path else fnmatchcase(name, self.blob_pattern)

    def reader_options(self) -> dict[str, Any]:
        """What was given of the options that only some formats have."""
        return {name: getattr(self, name) for name in _READER_OPTIONS if getattr(self, name) is not None}
