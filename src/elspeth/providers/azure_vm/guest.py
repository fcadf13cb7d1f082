"""What is done to a machine that is there: commands, disks, images, patches."""

from collections.abc import Mapping, Sequence
from typing import Any

from elspeth.providers.azure_vm.connection import Connection
from elspeth.providers.azure_vm.errors import translated
from elspeth.providers.azure_vm.machine import VirtualMachine, from_wire, plain


class Guest:
    """The half of `AzureVMClient` that works on machines from within."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def vms(self) -> Any:
        """The SDK's operations on machines."""
        return self.connection.compute.virtual_machines

    def run_command(self, rg_name: str, vm_name: str, script: str | Sequence[str]) -> str:
        """Run a shell script as root and give what Azure tells of its output (the last 4,096 bytes).

        The script's exit code is not told: let it print what you must know.
        """
        lines = script.splitlines() if isinstance(script, str) else list(script)
        result = self._do("run_command", "run a command on", rg_name, vm_name,
                          {"commandId": "RunShellScript", "script": lines})  # fmt: skip
        return "\n".join(str(one.get("message", "")) for one in _plain(result).get("value") or [])

    def create_disk(self, rg_name: str, disk_name: str, location: str, size_gb: int) -> str:
        """Make an empty managed disk, which costs from now on. Its id."""
        body = {
            "location": location, "sku": {"name": "StandardSSD_LRS"},
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": size_gb},
        }  # fmt: skip
        with translated(f"create disk {disk_name} in {rg_name}"):
            poller = self.connection.compute.disks.begin_create_or_update(
                rg_name, disk_name, body, polling=self.connection.polling()
            )
            return str(poller.result().as_dict()["id"])

    def delete_disk(self, rg_name: str, disk_name: str) -> None:
        """Delete a disk that is attached to nothing, for good."""
        with translated(f"delete disk {disk_name} in {rg_name}"):
            self.connection.compute.disks.begin_delete(
                rg_name, disk_name, polling=self.connection.polling()
            ).result()

    def attach_disk(self, rg_name: str, vm_name: str, disk_id: str) -> VirtualMachine:
        """Attach a disk at the first free place. It stays when the machine is deleted."""
        body = {"dataDisksToAttach": [{"diskId": disk_id, "deleteOption": "Detach"}]}
        return self._act("attach_detach_data_disks", "attach a disk to", rg_name, vm_name, body)

    def detach_disk(self, rg_name: str, vm_name: str, disk_id: str) -> VirtualMachine:
        """Detach a disk; the guest should have unmounted it."""
        body = {"dataDisksToDetach": [{"diskId": disk_id}]}
        return self._act("attach_detach_data_disks", "detach a disk from", rg_name, vm_name, body)

    def generalize_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Mark a stopped machine as a model for an image. It can never be started again."""
        with translated(f"generalize {vm_name} in {rg_name}"):
            self.connection.patiently(lambda: self.vms.generalize(rg_name, vm_name))
        return self._look(rg_name, vm_name)

    def capture_image(self, rg_name: str, vm_name: str, image_name: str) -> str:
        """Make an image of a generalized machine. Its id, which `create_vm` takes as ``image``."""
        with translated(f"capture {vm_name} in {rg_name} as {image_name}"):
            machine = self.vms.get(rg_name, vm_name).as_dict()
            body = {
                "location": machine["location"],
                "properties": {"sourceVirtualMachine": {"id": machine["id"]}, "hyperVGeneration": "V2"},
            }
            poller = self.connection.compute.images.begin_create_or_update(
                rg_name, image_name, body, polling=self.connection.polling()
            )
            return str(poller.result().as_dict()["id"])

    def assess_patches(self, rg_name: str, vm_name: str) -> Mapping[str, Any]:
        """Which patches the guest lacks, as Azure tells it."""
        return _plain(self._do("assess_patches", "assess patches of", rg_name, vm_name))

    def install_patches(self, rg_name: str, vm_name: str, hours: int = 2) -> Mapping[str, Any]:
        """Install critical and security patches, in so many hours at most; restarts the guest if it must."""
        body = {
            "maximumDuration": f"PT{hours}H", "rebootSetting": "IfRequired",
            "linuxParameters": {"classificationsToInclude": ["Critical", "Security"]},
        }  # fmt: skip
        return _plain(self._do("install_patches", "install patches on", rg_name, vm_name, body))

    def begin(self, kind: str, rg_name: str, vm_name: str, *body: Any, **options: Any) -> Any:
        """Ask for a long-running operation; the SDK's poller."""
        call = getattr(self.vms, f"begin_{kind}")
        return self.connection.patiently(
            lambda: call(rg_name, vm_name, *body, polling=self.connection.polling(), **options)
        )

    def wait_for(self, kind: str, rg_name: str, vm_name: str, poller: Any, doing: str) -> Any:
        """Wait for the end of what `begin` asked for."""
        with translated(doing):
            return self.connection.finish(self.connection.begun(kind, rg_name, vm_name, poller), poller)

    def _do(self, kind: str, verb: str, rg_name: str, vm_name: str, *body: Any, **options: Any) -> Any:
        doing = f"{verb} {vm_name} in {rg_name}"
        with translated(doing):
            poller = self.begin(kind, rg_name, vm_name, *body, **options)
        return self.wait_for(kind, rg_name, vm_name, poller, doing)

    def _act(
        self, kind: str, verb: str, rg_name: str, vm_name: str, *body: Any, **options: Any
    ) -> VirtualMachine:
        self._do(kind, verb, rg_name, vm_name, *body, **options)
        return self._look(rg_name, vm_name)

    def _look(self, rg_name: str, vm_name: str) -> VirtualMachine:
        with translated(f"look at {vm_name} in {rg_name}"):
            return from_wire(plain(self.vms.get(rg_name, vm_name, expand="instanceView")))


def _plain(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = result.as_dict() if result is not None else {}
    return found
