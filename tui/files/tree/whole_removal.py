"""Remove a whole tree of a container at rest by one rename, where its layer has it and nothing stands in the way.

Elsewhere a tree has to be removed entry by entry: in a running container, if only the image has it, or if nothing can
be renamed out of the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from tui.core.errors import LayerError, NotFound
from tui.core.records import Details, EntryKind, WhiteoutStyle
from tui.files.tree.drop_upper import shows_through
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.tree.workspace import copies_up_itself, refuse_read, refuse_used_since
from tui.files.verbs.opening import stack_of
from tui.files.write import atomic, set_aside
from tui.files.write.move_out import LayerNames, RawStates, RestingLayer, moved_out, refuse_unkept, states_of
from tui.layers.directories import upper_root
from tui.layers.view import LayerView
from tui.linux.failures import change_explained
from tui.linux.rooted_paths import Root, split


@dataclass(frozen=True, slots=True)
class WholeRemoval:
    """The removal of one tree from a layer at rest; ``states`` is what the layer had before the backup was made."""

    layer: RestingLayer
    path: bytes
    states: RawStates
    whiteout: bool

    def carried_out(self, nodes: Sequence[EntrySnapshot]) -> AbstractContextManager[None]:
        """Return a context in which the tree is gone, and at the end of which it is deleted for good.

        ``nodes`` are what the backup has. Raises ChangedMeanwhile if the tree differs from them, and what
        :func:`.moved_out` raises.
        """
        style = self.layer.stack.whiteout_style
        whiteouts: list[EntrySnapshot] = []
        if style is not WhiteoutStyle.TREE:
            whiteouts += [EntrySnapshot(path) for path, state in self.states.items() if state.is_whiteout]
        refuse_unkept(self.states, self.path, (*whiteouts, *nodes), style)
        names_in = partial(_name_of, self.path)
        return moved_out(self.layer, self.path, names_in, self.states, whiteout=self.whiteout)


def plan_whole_removal(
    details: Details, nodes: Sequence[EntrySnapshot], inspect: Callable[[str], Details]
) -> WholeRemoval | None:
    """Return how to remove entries (the top first) in one step; None if they must be removed one by one.

    Call it before they are backed up. Raises EditRefused if one of them is immutable, and ChangedMeanwhile if an
    engine is just reading the layer.
    """
    top = nodes[0]
    if len(nodes) == 1 or top.kind is not EntryKind.DIRECTORY or set_aside.why_not(details):
        return None
    stack = stack_of(details)
    if stack.whiteout_style is WhiteoutStyle.FUSE or copies_up_itself(stack):
        return None
    refuse_read(stack)
    with change_explained(top.path), upper_root(stack) as upper:
        try:
            with _name_of(top.path, upper) as names:
                if atomic.is_gone(names.dir_fd, names.names[0]):
                    return None
                states = states_of(names)
        except (NotFound, LayerError):  # the layer does not have its directory
            return None
    with LayerView.open(stack) as view:
        whiteout = view.image_entry(top.path) is not None and shows_through(stack, view, top.path)
    layer = RestingLayer(stack, details.container.id, partial(refuse_used_since, details, stack, inspect))
    return WholeRemoval(layer, top.path, states, whiteout)


@contextmanager
def _name_of(path: bytes, upper: Root) -> Iterator[LayerNames]:
    with upper.parent(path) as (dir_fd, name):
        yield LayerNames(dir_fd, split(path)[0], (name,))
