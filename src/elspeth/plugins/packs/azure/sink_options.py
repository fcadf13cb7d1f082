"""The options of the ``azure_blob`` sink."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from elspeth.plugins.packs.azure.access import AzureAccess
from elspeth.plugins.packs.azure.names import BlobName
from elspeth.plugins.packs.azure.one_blob import options_model_of
from elspeth.plugins.sinks.base import SinkOptions

Format = Literal["json", "jsonl", "csv", "parquet", "text"]
_BY_SUFFIX: dict[str, Format] = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "csv": "csv",
    "tsv": "csv",
    "parquet": "parquet",
    "txt": "text",
    "json": "json",
}
CONTENT_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "text": "text/plain; charset=utf-8",
}
_FORMAT_OPTIONS = ("delimiter", "quotechar", "encoding", "headers", "escape_formulas", "field", "compression")


class AzureBlobSinkOptions(SinkOptions, AzureAccess):
    """Options of the ``azure_blob`` sink."""

    blob_name_template: str | None = Field(
        default=None,
        min_length=1,
        description="One blob per row: its name, with {run_id}, {row_id}, {token_id}, {timestamp}, "
        "{field:name}.",
    )
    blob_path: str | None = Field(
        default=None,
        min_length=1,
        description="One blob per run: its name, with {run_id} and {timestamp}.",
    )
    rows_per_blob: int | None = Field(
        default=None,
        gt=0,
        description="With `blob_path`: a new blob after so many rows. Its number, from 00000, takes the place"
        " of {part} in the name, or comes before its ending.",
    )
    format: Format | None = Field(
        default=None,
        description="json (per run: an array), jsonl, csv, parquet, text; default: by the name's ending, "
        "else json (per run: jsonl).",
    )
    overwrite: bool = Field(
        default=True,
        description="Whether a blob that exists may be replaced; false: the run fails, race-free.",
    )
    create_container: bool = Field(default=False, description="Make the container if it is not there.")
    content_type: str | None = Field(
        default=None, description="The blobs' content type; default: by the format."
    )
    metadata: dict[str, str] = Field(
        default_factory=dict,
        description="Metadata of the blobs; the run's id and the content's hash are added.",
    )
    tags: dict[str, str] = Field(
        default_factory=dict, max_length=10, description="Index tags; {run_id} in a value is the run's id."
    )
    block_size: int = Field(
        default=4 * 1024 * 1024,
        ge=64 * 1024,
        le=1024 * 1024 * 1024,
        description="Bytes per block of `blob_path`; at most 50,000 blocks make a blob.",
    )
    delimiter: str | None = Field(default=None, description="As for the csv sink.")
    quotechar: str | None = Field(default=None, description="As for the csv sink.")
    encoding: str | None = Field(default=None, description="As for the csv and text sinks.")
    headers: Literal["normalized", "original"] | dict[str, str] | None = Field(
        default=None, description="As for the csv and json sinks."
    )
    escape_formulas: bool | None = Field(default=None, description="As for the csv sink.")
    field: str | None = Field(default=None, description="As for the text sink: the field to write.")
    compression: Literal["snappy", "zstd", "gzip", "none"] | None = Field(
        default=None, description="As for the parquet sink."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.blob_name_template) == bool(self.blob_path):
            raise ValueError("give blob_name_template (one blob per row) or blob_path (one blob per run)")
        if self.blob_name_template and self.rows_per_blob:
            raise ValueError("rows_per_blob needs blob_path: blob_name_template makes one blob per row")
        try:
            self.name()
        except ValueError as error:
            option = "blob_name_template" if self.blob_name_template else "blob_path"
            raise ValueError(f"{option}: {error}") from None
        self._check_format()
        return self

    def _check_format(self) -> None:
        form = self.form
        if self.blob_name_template and form not in ("json", "text"):
            raise ValueError(f"one blob per row can be json or text, not {form}: use blob_path for {form}")
        model = options_model_of(form)
        for name in self.format_options():
            if name not in model.model_fields:
                raise ValueError(f"{name} is no option of format {form}")
        try:
            model.model_validate({"path": "x", **self.format_options()})
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or form}: {first['msg']}") from None

    @property
    def form(self) -> Format:
        """The format that holds."""
        if self.format:
            return self.format
        name = self.blob_name_template or self.blob_path or ""
        suffix = name.rpartition("/")[2].rpartition(".")[2].lower()
        if self.blob_name_template:
            return "text" if suffix == "txt" and self.field else "json"
        return _BY_SUFFIX.get(suffix, "jsonl")

    def name(self) -> BlobName:
        """The template of names. Raises ValueError."""
        if self.blob_name_template:
            return BlobName(self.blob_name_template)
        if not self.rows_per_blob:
            return BlobName(self.blob_path or "", ("run_id", "timestamp"), fields=False)
        return BlobName(numbered(self.blob_path or ""), ("run_id", "timestamp", "part"), fields=False)

    def format_options(self) -> dict[str, Any]:
        """What was given of the options that only some formats have."""
        return {name: getattr(self, name) for name in _FORMAT_OPTIONS if getattr(self, name) is not None}


def numbered(path: str) -> str:
    """A template with ``{part}``: the one that was given, or one with it before the ending."""
    if "{part}" in path:
        return path
    folder, slash, file = path.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    return f"{folder}{slash}{stem}-{{part}}{dot}{ending}" if stem else f"{path}-{{part}}"
