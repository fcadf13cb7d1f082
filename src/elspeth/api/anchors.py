"""Where heads of the record are anchored, by what a setting says: a file, stdout, or an Azure container."""

from importlib import import_module
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.ledger.anchors import Anchor, anchor_of, anchored_heads, read_anchors
from elspeth.core.landscape.ledger.heads import Checkpoint

_URLS = ("https://", "http://")


def is_url(setting: str) -> bool:
    """Whether an anchor is a container, not a file."""
    return setting.startswith(_URLS)


def open_anchor(setting: str) -> Anchor:
    """The anchor that ``landscape.anchor`` names.

    Raises UsageError for a URL that is no container, LandscapeError for one that can't be written to.
    """
    if not is_url(setting):
        return anchor_of(setting)
    anchor: Anchor = _pack(setting).BlobAnchor.open(setting)
    return anchor


def probe_anchor(url: str) -> str:
    """With which credential heads can be anchored there. Raises what `open_anchor` raises."""
    anchor = _pack(url).BlobAnchor.open(url)
    anchor.close()
    return f"{anchor.way} may write {anchor.where}"


def anchored(where: str) -> list[Checkpoint]:
    """All heads anchored in a file or container. Raises NotFoundError, UsageError."""
    if not is_url(where):
        return list(read_anchors(where))
    return list(anchored_heads(_pack(where).anchored_lines(where), where))


def _pack(url: str) -> Any:
    try:
        return import_module("elspeth.plugins.packs.azure.anchor")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{url}: anchors in a container need the Azure pack", fix='pip install "elspeth[azure]"'
        ) from error
