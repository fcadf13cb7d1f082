"""Whether providers keep what they promise: availability and latency from the calls on record.

What is computed here is shown; nothing that ELSPETH does depends on it.
"""

from elspeth.fabric.health.figures import WINDOWS, CapabilityHealth, ProviderHealth, WindowFigures
from elspeth.fabric.health.history import health_of

__all__ = ["WINDOWS", "CapabilityHealth", "ProviderHealth", "WindowFigures", "health_of"]
