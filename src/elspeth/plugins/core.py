"""The plugins that come with ELSPETH, announced by the same hooks as everyone else's."""

from elspeth.plugins.hookspecs import Announced, hookimpl
from elspeth.plugins.refs import PluginRef

_SOURCES = (
    PluginRef("csv", "elspeth.plugins.sources.csv_source:CsvSource", "Rows of a CSV file."),
    PluginRef("json", "elspeth.plugins.sources.json_source:JsonSource", "Objects of a JSON or JSONL file."),
    PluginRef(
        "parquet",
        "elspeth.plugins.sources.parquet_source:ParquetSource",
        "Rows of a Parquet file.",
        extra="parquet",
    ),
    PluginRef("text", "elspeth.plugins.sources.text_source:TextSource", "Lines of a text file."),
    PluginRef(
        "database", "elspeth.plugins.sources.database_source:DatabaseSource", "Rows of a database query."
    ),
    PluginRef("null", "elspeth.plugins.sources.null_source:NullSource", "No rows at all."),
    PluginRef(
        "azure_blob", "elspeth.plugins.packs.azure:AzureBlobSource", "Rows of Azure blobs.", extra="azure"
    ),
)
_TRANSFORMS = (
    PluginRef("passthrough", "elspeth.plugins.transforms.passthrough:Passthrough", "Hand rows on unchanged."),
    PluginRef(
        "field_mapper",
        "elspeth.plugins.transforms.field_mapper:FieldMapper",
        "Rename, select, drop and compute fields.",
    ),
    PluginRef("truncate", "elspeth.plugins.transforms.truncate:Truncate", "Cut long text to a length."),
    PluginRef(
        "keyword_filter",
        "elspeth.plugins.transforms.keyword_filter:KeywordFilter",
        "Turn away rows whose text matches a pattern.",
    ),
    PluginRef(
        "type_coerce",
        "elspeth.plugins.transforms.type_coerce:TypeCoerce",
        "Convert fields to other types, exactly.",
    ),
    PluginRef(
        "value_transform",
        "elspeth.plugins.transforms.value_transform:ValueTransform",
        "Compute fields from fields.",
    ),
    PluginRef(
        "json_explode",
        "elspeth.plugins.transforms.json_explode:JsonExplode",
        "One row per element of a list.",
    ),
    PluginRef(
        "line_explode", "elspeth.plugins.transforms.line_explode:LineExplode", "One row per line of a text."
    ),
    PluginRef(
        "llm",
        "elspeth.plugins.llm.transform:LLMTransform",
        "Ask a language model about each row.",
        extra="llm",
    ),
    PluginRef(
        "azure_llm",
        "elspeth.plugins.llm.azure:AzureLLMTransform",
        "Ask a model in Azure OpenAI about each row.",
        extra="llm",
    ),
    PluginRef(
        "openrouter_llm",
        "elspeth.plugins.llm.openrouter:OpenRouterLLMTransform",
        "Ask a model behind OpenRouter about each row.",
        extra="llm",
    ),
    PluginRef(
        "llm_judge",
        "elspeth.plugins.llm.judge:LLMJudge",
        "Ask a language model which of two answers is better, in both orders.",
        extra="llm",
    ),
    PluginRef(
        "wasm",
        "elspeth.plugins.transforms.wasm:Wasm",
        "Send rows through a WebAssembly module that can touch nothing else.",
        extra="wasm",
    ),
    PluginRef(
        "batch_stats",
        "elspeth.plugins.transforms.batch_stats:BatchStats",
        "Of a batch: count, sum, least, greatest and mean of a field, per group.",
    ),
    PluginRef(
        "batch_replicate",
        "elspeth.plugins.transforms.batch_replicate:BatchReplicate",
        "Of a batch: each row several times.",
    ),
    PluginRef(
        "batch_top_k",
        "elspeth.plugins.transforms.batch_top_k:BatchTopK",
        "Of a batch: the rows with the greatest (or least) values, per group.",
    ),
)
_SINKS = (
    PluginRef("csv", "elspeth.plugins.sinks.csv_sink:CsvSink", "Rows into a CSV file."),
    PluginRef("json", "elspeth.plugins.sinks.json_sink:JsonSink", "Rows into a JSON or JSONL file."),
    PluginRef(
        "parquet",
        "elspeth.plugins.sinks.parquet_sink:ParquetSink",
        "Rows into a Parquet file.",
        extra="parquet",
    ),
    PluginRef("text", "elspeth.plugins.sinks.text_sink:TextSink", "One field of each row as a line of text."),
    PluginRef("database", "elspeth.plugins.sinks.database_sink:DatabaseSink", "Rows into a database table."),
    PluginRef("null", "elspeth.plugins.sinks.null_sink:NullSink", "Take rows and keep nothing."),
    PluginRef(
        "azure_blob", "elspeth.plugins.packs.azure:AzureBlobSink", "Rows into Azure blobs.", extra="azure"
    ),
)


@hookimpl
def elspeth_sources() -> Announced:
    """The sources of the core."""
    return _SOURCES


@hookimpl
def elspeth_transforms() -> Announced:
    """The transforms of the core."""
    return _TRANSFORMS


@hookimpl
def elspeth_sinks() -> Announced:
    """The sinks of the core."""
    return _SINKS
