"""What a pipeline file wants known of its run: what to keep where, and which secrets to keep out."""

from elspeth.api.assemble import Assembled
from elspeth.core.landscape.database import LandscapeDB


def configure(db: LandscapeDB, assembled: Assembled) -> None:
    """Tell a landscape what the pipeline file says of payloads, and which secrets to keep out of it."""
    db.redactor = assembled.redactor
    settings = assembled.loaded.settings.payload_store
    db.payloads.configure(settings.base_path, settings.threshold_bytes)
