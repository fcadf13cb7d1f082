"""Rules over several sections of one pipeline file. What concerns the graph is the graph's business."""

from collections.abc import Iterator, Mapping
from typing import Any

from elspeth.contracts.errors import Problem
from elspeth.core.config.document import Document, did_you_mean


def cross_checks(document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """Check data in terms of the models, which need not be valid: what can't be judged is passed over."""
    return [
        *_replay(document, data),
        *_experiments(document, data),
        *_export(document, data),
    ]


def _replay(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    mode, earlier = data.get("run_mode", "live"), data.get("replay_from")
    if mode in ("replay", "verify") and earlier is None:
        yield document.problem(
            ("run_mode",),
            f"run_mode: {mode} needs the run whose record is used",
            "add `replay_from: RUN_ID`, or give it on the command line",
        )
    if mode == "live" and earlier is not None:
        yield document.problem(
            ("replay_from",),
            "replay_from has no meaning with run_mode: live",
            "write `run_mode: replay` or `run_mode: verify`, or take replay_from out",
        )


def _experiments(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    transforms = [str(item.get("name")) for item in _mappings(data.get("transforms"))]
    seen: set[Any] = set()
    for index, experiment in enumerate(_mappings(data.get("experiments"))):
        name = experiment.get("experiment_id")
        if isinstance(name, str) and name in seen:
            what = f"experiment_id {name!r} is used twice"
            yield document.problem(("experiments", index, "experiment_id"), what, "choose another")
        seen.add(name if isinstance(name, str) else None)
        varied = experiment.get("transform")
        if isinstance(varied, str) and varied not in transforms:
            guess = did_you_mean(varied, transforms)
            known = (
                f"the transforms are: {', '.join(transforms)}" if transforms else "there are no transforms"
            )
            yield document.problem(
                ("experiments", index, "transform"),
                f"there is no transform {varied!r} to vary",
                f"did you mean {guess!r}?" if guess else known,
            )


def _export(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    path = ("landscape", "export", "sink")
    value: Any = data
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    sinks = list(data["sinks"]) if isinstance(data.get("sinks"), dict) else []
    if isinstance(value, str) and sinks and value not in sinks:
        guess = did_you_mean(value, sinks)
        fix = f"did you mean {guess!r}?" if guess else f"the sinks are: {', '.join(sinks)}"
        yield document.problem(path, f"there is no sink {value!r} to export to", fix)


def _mappings(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [item if isinstance(item, dict) else {} for item in value]
