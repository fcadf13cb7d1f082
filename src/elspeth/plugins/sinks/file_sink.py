"""What every sink that makes one file has in common."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, PluginContext
from elspeth.plugins.sinks.base import BaseSink, SinkOptions
from elspeth.plugins.sinks.part_file import PartFile


class FileSinkOptions(SinkOptions):
    """Options of a sink that makes one file."""

    path: Path = Field(description="The file to make, relative to the working directory.")
    mode: Literal["write", "append"] = Field(
        default="write", description="write: a new file; append: go on behind what is in the file already."
    )
    collision_policy: Literal["overwrite", "fail_if_exists", "auto_increment", "append_or_create"] | None = (
        Field(
            default=None,
            description="What to do if the file exists: overwrite (default for mode write; the old file is "
            "replaced in one step when the new one is complete); fail_if_exists; auto_increment "
            "(use name-1, name-2, ...); append_or_create (default for mode append).",
        )
    )

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.mode == "append" and self.collision_policy not in (None, "append_or_create"):
            raise ValueError(
                f"mode append contradicts collision_policy {self.collision_policy}: leave one out"
            )
        return self

    @property
    def policy(self) -> str:
        """The collision policy that holds."""
        if self.mode == "append":
            return "append_or_create"
        return self.collision_policy or "overwrite"


class FileSink(BaseSink):
    """A sink that makes one file: beside its target while the run goes on, in its place at the end.

    A subclass writes ``write`` (through ``_put``), and may override ``_begin`` (what comes first in
    the file) and ``_finish`` (what comes last).
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._rows = 0
        self._run_id = ""
        self._wanted = self._target = Path(os.path.abspath(self.options.path))
        self._part = self._new_part()
        self._published = False

    def on_start(self, ctx: PluginContext) -> None:
        """Raises SinkError if the target can't be written."""
        self._run_id = ctx.run_id
        if problems := path_problems(self._target):
            raise SinkError(problems[0])
        if self.options.policy == "auto_increment":
            self._target = next(free_names(self._wanted))
        self._part = self._new_part()

    def _new_part(self) -> PartFile:
        """What the rows are written to before they are published."""
        return PartFile(self._target, self._run_id)

    def _ready(self) -> PartFile:
        """The part file, begun if need be."""
        if not self._part.is_open:
            if problems := self.check():
                raise SinkError(problems[0])
            appending = self.options.policy == "append_or_create" and self._target.exists()
            self._part.begin(self._target if appending else None)
            self._begin()
        return self._part

    def _begin(self) -> None:
        """Write what comes first. When appending, the part file holds what was there already."""

    def _finish(self) -> None:
        """Write what comes last in the file."""

    def _put(self, data: bytes, rows: int) -> None:
        self._ready().write(data)
        self._rows += rows

    def flush(self) -> None:
        """Sync the part file."""
        self._part.sync()

    def position(self) -> Mapping[str, Any]:
        """How long the part file is; valid after `flush`."""
        return {
            "started": self._part.is_open,
            "bytes": self._part.size,
            "sha256": self._part.sha256,
            "rows": self._rows,
            "target": str(self._target),
        }

    def restore(self, position: Mapping[str, Any]) -> None:
        """Cut the part file back to ``position`` and hash it anew. Raises SinkError."""
        self._part.close()
        self._target = Path(position.get("target", self._target))
        self._part = self._new_part()
        self._rows = position.get("rows", 0)
        if position.get("started"):
            self._published = self._part.restore(position["bytes"], position["sha256"])

    def publish(self) -> Artifact:
        """Sync, and put the file in its place in one step. Raises SinkError."""
        self._ready()
        self._finish()
        policy = self.options.policy
        names = chain([self._target], free_names(self._wanted) if policy == "auto_increment" else ())
        for target in names:
            self._part.target = self._target = target
            try:
                self._part.publish(replace=self._published or policy in ("overwrite", "append_or_create"))
            except FileExistsError:
                continue
            return Artifact(str(self._target), self._part.sha256, self._part.size, self._rows)
        raise SinkError(
            f"{self._target} came into being while the run was going on, and collision_policy is {policy}",
            fix=f"move it away and resume the run; the output is complete in {self._part.path}",
        )

    def close(self) -> None:
        """Close the part file; it stays for a resume unless it was published."""
        self._part.close()

    def targets(self) -> Sequence[str]:
        """The absolute path of the file."""
        return [str(self._target)]

    def check(self) -> list[str]:
        """Whether the path can be written."""
        problems = path_problems(self._target)
        if not problems and self.options.policy == "fail_if_exists" and self._target.exists():
            problems.append(
                f"{self._target} exists, and collision_policy is fail_if_exists; move it away, or choose "
                "overwrite, auto_increment or append_or_create"
            )
        return problems


def free_names(path: Path) -> Iterator[Path]:
    """``path`` itself, then ``name-1.ext``, ``name-2.ext`` …, as far as they are free."""
    if not path.exists():
        yield path
    for number in count(1):
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not candidate.exists():
            yield candidate


def path_problems(path: Path) -> list[str]:
    """Why no file can be written at this path; empty if one can."""
    if path.is_dir():
        return [f"{path} is a directory; give the name of a file in it, such as {path / 'output'}"]
    if path.exists() and not path.is_file():
        return [f"{path} is not a regular file; choose another path"]
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        return [f"{path} cannot be made: {parent} is a file, not a directory"]
    if not os.access(parent, os.W_OK | os.X_OK):
        return [
            f"{path} cannot be made: this user may not write in {parent}; change that, or choose another path"
        ]
    return []


def close_name(name: str, names: Sequence[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing."""
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
