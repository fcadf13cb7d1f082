"""YAML text to a tree of nodes with positions, within limits that no honest file meets."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from elspeth.core.config.yaml_errors import BadYaml, Mark, in_readers_words

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 100
MAX_EXPANSION = 100_000
MAX_VALUES = 200_000

Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class ScalarNode:
    """Text as written. ``plain`` scalars may turn out to be numbers, booleans or null."""

    mark: Mark
    value: str
    plain: bool
    tag: str | None = None
    size: int = 1
    depth: int = 1


@dataclass(slots=True)
class ListNode:
    """A sequence. ``size`` and ``depth`` count what its aliases stand for."""

    mark: Mark
    tag: str | None = None
    items: "list[Node]" = field(default_factory=list)
    size: int = 1
    depth: int = 1


@dataclass(slots=True)
class MapNode:
    """A mapping with its entries in file order, duplicates included."""

    mark: Mark
    tag: str | None = None
    entries: "list[tuple[Node, Node]]" = field(default_factory=list)
    size: int = 1
    depth: int = 1
    key: "Node | None" = None


Node = ScalarNode | ListNode | MapNode


def compose(text: str) -> Node | None:
    """The tree of the only document in ``text``; None if there is nothing in it.

    Aliases are shared nodes. Raises BadYaml with a position for anything that cannot be read,
    for a second document, and where nesting or alias expansion passes the limits.
    """
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.YAMLError as error:
        raise in_readers_words(error, text) from None
    return builder.root


def _events(text: str) -> Iterator[yaml.Event]:
    loader = Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self._documents = 0
        self._expanded = 0
        self._values = 0
        self._open: list[tuple[ListNode | MapNode, str | None]] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        mark = Mark.of(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            plain = not event.style
            self._add(self._named(ScalarNode(mark, event.value, plain, event.tag), event.anchor))
        elif isinstance(event, yaml.MappingStartEvent):
            self._enter(MapNode(mark, event.tag), event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._enter(ListNode(mark, event.tag), event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            node, anchor = self._open.pop()
            self._add(self._named(node, anchor))
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._alias(event.anchor, mark))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise BadYaml(
                    "a second document begins here, but a pipeline is one document",
                    "take the line `---` out, or move what follows to a file of its own",
                    mark,
                )

    def _named(self, node: Node, anchor: str | None) -> Node:
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _enter(self, node: ListNode | MapNode, anchor: str | None) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise BadYaml(f"more than {MAX_DEPTH} levels of nesting", "flatten the structure", node.mark)
        self._open.append((node, anchor))

    def _alias(self, name: str | None, mark: Mark) -> Node:
        if any(anchor == name for _, anchor in self._open):
            raise BadYaml(f"*{name} stands inside &{name} itself", "take the alias out", mark)
        if name is None or name not in self._anchors:
            raise BadYaml(
                f"*{name} refers to nothing: there is no &{name} above it",
                f"put &{name} before the value that is meant, or quote the text if no alias is meant",
                mark,
            )
        node = self._anchors[name]
        self._expanded += node.size
        if self._expanded > MAX_EXPANSION:
            raise BadYaml(
                f"the aliases stand for more than {MAX_EXPANSION:,} values",
                "write fewer aliases of aliases",
                mark,
            )
        return node

    def _add(self, node: Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise BadYaml(
                f"more than {MAX_VALUES:,} values", "a pipeline file is no place for data", node.mark
            )
        if not self._open:
            self.root = node
            return
        parent = self._open[-1][0]
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.depth > MAX_DEPTH:
            raise BadYaml(
                f"more than {MAX_DEPTH} levels of nesting", "nest fewer aliases in each other", node.mark
            )
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            parent.entries.append((parent.key, node))
            parent.key = None
