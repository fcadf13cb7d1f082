"""A run's record as files that outlive this program: JSON lines, CSV, Parquet, PROV-JSON, OpenLineage."""
