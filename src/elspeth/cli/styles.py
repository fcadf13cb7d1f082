"""The colours that mean something."""

from collections.abc import Mapping

STATUS_STYLES: Mapping[str, str] = {
    "completed": "green",
    "empty": "yellow",
    "running": "cyan",
    "completed_with_failures": "yellow",
    "interrupted": "yellow",
    "abandoned": "yellow",
    "failed": "bold red",
}
END_STYLES: Mapping[str, str] = {
    "COMPLETED": "green",
    "ROUTED": "green",
    "QUARANTINED": "bold yellow",
    "FAILED": "bold red",
    "DISCARDED": "yellow",
}
