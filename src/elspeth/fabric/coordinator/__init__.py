"""Who does which task: claimed by one at a time, taken back from those who die, done once.

coordinator = Coordinator.from_url("postgresql://…")
coordinator.add([NewTask("net"), NewTask("vm-1", needs=("net",))])
for claim in coordinator.claim("worker-7"):
    coordinator.complete(claim, do(claim.payload))
"""

from elspeth.fabric.coordinator.coordinator import Coordinator
from elspeth.fabric.coordinator.tasks import Claim, LeaseLostError, NewTask, Task, TaskState

__all__ = ["Claim", "Coordinator", "LeaseLostError", "NewTask", "Task", "TaskState"]
