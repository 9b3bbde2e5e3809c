"""Entries of a layer as styled text: marks, origin, modes, details. Pure."""

from __future__ import annotations

from rich.text import Text

from tui.core.records import Change, Entry, EntryKind, LayerRole, LayerStack, View, WhiteoutStyle
from tui.core.text import human_size, mode_text, printable, time_text
from tui.layers.owners import shown_owner
from tui.services.tree_model import TreeLine

_MARK_STYLES = {"A": "green", "M": "yellow", "D": "red", "O": "magenta", "m": "cyan", "⌁": "blue"}

MARK_WORDS = {
    "A": "added by the container",
    "M": "modified: copied up from the image",
    "m": "only owner, mode or xattrs changed",
    "D": "deleted: a whiteout hides it",
    "O": "replaced: an opaque directory hides the image's",
    "⌁": "hidden by a mount while the container runs",
    " ": "from the image, unchanged",
}
"""The meaning of each mark. The letter carries it; the colour only helps."""


_TREE_WORDS = {"M": "modified by the container", "D": "deleted from the container's own tree"}
"""Meanings that differ on storage drivers with complete trees."""


def change_mark(entry: Entry) -> str:
    """Return the letter for an entry's change."""
    if entry.covered_by:
        return "⌁"
    if entry.opaque:
        return "O"
    if entry.change is Change.MODIFIED and entry.metadata_only:
        return "m"
    return str(entry.change) if entry.change else " "


def origin(stack: LayerStack | None, index: int) -> str:
    """Name a layer of the stack: ``writable``, ``init`` or ``image 2/3``, counted from the base.

    Without a stack, only ``writable`` and ``image`` are known.
    """
    if stack is None:
        return "image" if index else "writable"
    if stack.whiteout_style is WhiteoutStyle.TREE and index == 0:
        return "own tree"
    layer = stack.layers[index]
    if layer.role is not LayerRole.IMAGE:
        return str(layer.role)
    images = stack.images
    return f"image {len(images) - images.index(layer)}/{len(images)}"


def kind_sign(entry: Entry) -> str:
    """Return what ls -F would append: a symlink's target, or a sign for what is not a file."""
    if entry.kind is EntryKind.SYMLINK:
        return f" → {printable(entry.target)}"
    return {EntryKind.FIFO: " |", EntryKind.SOCKET: " =", EntryKind.CHARACTER: " (char device)"}.get(
        entry.kind, " (block device)" if entry.kind is EntryKind.BLOCK else ""
    )


_WIDE = 44
"""Width in cells from which a line of the tree shows the size too."""

_SHORT_REMARKS = {"hidden by a mount": "mount", "replaced": "repl."}
"""Short remarks for narrow lines."""


def _remark(entry: Entry, stack: LayerStack | None, view: View) -> str:
    if entry.covered_by:
        return "hidden by a mount" if view is View.LAYER else entry.covered_by.description
    if entry.inside:
        return f"in the {entry.inside.description}"
    if entry.opaque:
        return "replaced"
    if entry.change is Change.DELETED:
        return f"in {origin(stack, entry.layer)}"
    if view is View.MERGED and entry.layer > 0:
        return origin(stack, entry.layer)
    return ""


def _narrow(remark: str, width: int) -> str:
    """Return a remark for a narrow line: in full after a short name, shortened after a long one."""
    full_remark = f" {remark.removeprefix('in ')} "
    return (
        full_remark
        if len(full_remark) <= width
        else f" {_SHORT_REMARKS[remark]} "
        if remark in _SHORT_REMARKS
        else full_remark
    )


def tree_line(line: TreeLine, stack: LayerStack | None, view: View, width: int) -> Text:
    """Draw one line of the tree: mark, indent, name, remark, size at the right edge."""
    entry = line.entry
    mark = change_mark(entry)
    arrow = {None: "  ", True: "▾ ", False: "▸ "}[line.is_open]
    style = _MARK_STYLES.get(mark, "")
    size = human_size(entry.size) if entry.kind is EntryKind.FILE else ""
    remark = "loading…" if line.loading else _remark(entry, stack, view)
    name = Text.assemble((f" {mark} ", f"bold {style}"), "  " * min(line.depth, 20) + arrow)
    name_style = "strike " + style if mark == "D" else style
    bold = "bold " if entry.kind is EntryKind.DIRECTORY else ""
    name.append(printable(entry.name), style=bold + name_style)
    name.append(kind_sign(entry), style="dim")
    tail_text = f"  {remark}  {size:>9} " if width >= _WIDE else _narrow(remark, width - name.cell_len)
    tail = Text(tail_text, style="dim")
    name.truncate(max(8, width - tail.cell_len), overflow="ellipsis", pad=True)
    return name.append_text(tail)


def owner_text(entry: Entry, stack: LayerStack | None) -> str:
    """Return user and group as the container shows them: ``1234:4321``."""
    uid, gid = shown_owner(entry, stack)
    return f"{uid}:{gid}"


def meta_words(entry: Entry, stack: LayerStack | None) -> str:
    """Return mark, size, mode, owner and time for a title: ``M · 38 B · rwsr-xr-x 1234:4321 · 2026-11-23 19:05``."""
    mark = change_mark(entry).strip()
    parts = [mark] if mark else []
    if entry.kind is EntryKind.FILE:
        parts.append(human_size(entry.size))
    parts.append(f"{mode_text(entry.mode)} {owner_text(entry, stack)}")
    parts.append(time_text(entry.mtime_ns, "%Y-%m-%d %H:%M"))
    return " · ".join(parts)


def entry_info(entry: Entry, stack: LayerStack | None) -> Text:
    """Draw the details of an entry without text content: directory, symlink, device, deleted file."""
    mark_words = MARK_WORDS | _TREE_WORDS if stack and stack.whiteout_style is WhiteoutStyle.TREE else MARK_WORDS
    pairs = [
        ("path", printable(entry.path)),
        ("type", str(entry.kind) + (", deleted" if entry.change is Change.DELETED else "")),
        ("mark", f"{change_mark(entry)}  {mark_words[change_mark(entry)]}"),
        ("from", f"the {entry.inside.description}" if entry.inside else origin(stack, entry.layer)),
        ("size", f"{entry.size:,} B"),
        ("mode", f"{mode_text(entry.mode)}  owner {owner_text(entry, stack)}"),
        ("changed", time_text(entry.mtime_ns)),
    ]
    if entry.nlink > 1 and entry.kind is EntryKind.FILE:
        pairs.append(("links", f"{entry.nlink} names"))
    if entry.kind is EntryKind.SYMLINK:
        pairs.append(("points to", printable(entry.target)))
    if entry.covered_by:
        pairs.append(("hidden by", f"{entry.covered_by.kind} {printable(entry.covered_by.source)}"))
    if entry.inside:
        pairs.append(("on the host", printable(entry.inside.source)))
    return Text("\n").join(Text.assemble((f"{name:<11}", "bold"), value) for name, value in pairs)


def diff_text(lines: tuple[str, ...]) -> Text:
    """Colour a unified diff; the signs at the line starts say the same."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return Text("\n").join(Text(printable(line), style=styles.get(line[:1], "")) for line in lines)
