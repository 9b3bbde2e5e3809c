"""Convert bytes to editable text and back, so that only edited bytes change. Pure.

Textual's TextArea rewrites mixed line ends and turns VT, FF, NEL and U+2028 into newlines. While text is in the editor,
such characters, control characters and bytes that are not UTF-8 are replaced by one private-use character each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tui.core.errors import EditRefused
from tui.core.text import HIDDEN, HIDDEN_ASTRAL

EDIT_LIMIT = 1 << 20
"""Bytes of the largest file that opens in the editor; beyond that, each key press is too slow."""

PREVIEW_LIMIT = 256 << 10
"""Bytes of a file to show when viewing it: layout blocks the screen, about 2 s for 2 MB."""

HIGHLIGHT_LIMIT = 64 << 10
"""Bytes of the largest file with syntax highlighting."""

SHIELD = 0xF0000
"""First code point of the private planes, from which stand-ins are taken."""

SHIELD_ABOVE = 0x100000
"""Where the stand-ins of characters above the first plane begin."""

_PRIVATE = "\U000f0000-\U0010ffff"
_SHIELDED = re.compile(f"[{_PRIVATE}]")
_DAMAGED = re.compile(f"(?![\t\n])[{HIDDEN}{HIDDEN_ASTRAL}]")
_EXCHANGED = re.compile(f"(?![\t\n])[{HIDDEN}{HIDDEN_ASTRAL}{_PRIVATE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PROBE = 8 << 10
_BINARY_SHARE = 0.1


class Shield:
    """The stand-ins of one text: replaces what the editor would alter by private-use characters, and reverses it.

    A private-use character of the text itself stands for itself, unless it is taken as a stand-in; then it gets another
    one. The table only grows, so that stand-ins keep their meaning when the editor undoes a change.
    """

    def __init__(self) -> None:
        self._stand_ins: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._next = SHIELD

    def hide(self, text: str) -> str:
        """Return a text with stand-ins; raises EditRefused if all private-use characters are taken."""
        for private in set(_SHIELDED.findall(text)):  # first, so that they stand for themselves if possible
            self._stand_in(private)
        return _EXCHANGED.sub(lambda match: self._stand_in(match.group()), text)

    def reveal(self, text: str) -> str:
        """Return the original text for a text from the editor."""
        return _SHIELDED.sub(lambda match: self._originals.get(match.group(), match.group()), text)

    def _stand_in(self, char: str) -> str:
        stand_in = self._stand_ins.get(char)
        if stand_in is None:
            stand_in = self._preferred(char)
            if stand_in in self._originals:
                stand_in = self._free()
            self._stand_ins[char], self._originals[stand_in] = stand_in, char
        return stand_in

    @staticmethod
    def _preferred(char: str) -> str:
        code = ord(char)
        if code >= SHIELD:
            return char
        return chr(SHIELD + code if code < 0x10000 else SHIELD_ABOVE + (code & 0xFFFF))

    def _free(self) -> str:
        while self._next <= 0x10FFFF:
            char = chr(self._next)
            self._next += 1
            if char not in self._originals:
                return char
        raise EditRefused("the text uses all private characters of Unicode", "edit it with $EDITOR")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's bytes, and their text in the editor.

    ``eol`` is LF, CRLF or mixed. ``read_only_reason`` is empty if the file can be edited without damage. If ``cut``,
    the text is only the beginning and cannot be turned back into bytes.
    """

    data: bytes
    text: str
    eol: str
    encoding: str
    binary: bool = False
    read_only_reason: str = ""
    shielded: int = 0
    cut: bool = False
    shield: Shield = field(default_factory=Shield, compare=False, repr=False)

    @classmethod
    def beginning(cls, data: bytes, size: int) -> Document:
        """Build a read-only preview from the first bytes of a file of ``size`` bytes, in whole lines if possible."""
        end = data.rfind(b"\n", max(0, len(data) - _PROBE)) + 1
        document = cls.parse(data[: end or None])
        reason = document.read_only_reason or (f"larger than {EDIT_LIMIT >> 20} MiB" if size > EDIT_LIMIT else "")
        return replace(document, read_only_reason=reason, cut=True)

    @classmethod
    def parse(cls, data: bytes, *, any_ends: bool = False) -> Document:
        """Build a document from bytes, read-only with the reason if they might not survive editing.

        ``any_ends`` keeps CR characters in the text as stand-ins even if all line ends are CRLF.
        """
        if len(data) > EDIT_LIMIT:
            return _read_only_document(data, f"larger than {EDIT_LIMIT >> 20} MiB", binary=b"\0" in data[:_PROBE])
        if b"\0" in data[:_PROBE]:
            return _read_only_document(data, "binary: it holds NUL bytes", binary=True)
        text = data.decode("utf-8", "surrogateescape")
        crlf, cr, lf = text.count("\r\n"), text.count("\r"), text.count("\n")
        eol = "CRLF" if crlf and crlf == cr == lf and not any_ends else "mixed" if cr else "LF"
        if eol == "CRLF":
            text = text.replace("\r\n", "\n")
        shielded = len(_DAMAGED.findall(text))
        if shielded > max(3, _BINARY_SHARE * len(text)):
            return _read_only_document(data, "binary: more than a tenth of it is no text", binary=True)
        shield = Shield()
        try:
            text = shield.hide(text)
        except EditRefused as error:
            return _read_only_document(data, error.message, binary=False)
        encoding = "utf-8" if _decodes(data) else "bytes, not all utf-8"
        document = cls(data, text, eol, encoding, shielded=shielded, shield=shield)
        if document.with_text(text) != data:
            return _read_only_document(data, "its text would not come back as the same bytes", binary=False)
        return document

    def with_text(self, text: str) -> bytes:
        """Return an edited text as bytes, with this file's line ends; raises EditRefused if it cannot be encoded."""
        if self.read_only_reason or self.cut:
            reason = self.read_only_reason or "only its beginning is shown"
            raise EditRefused(f"the file is read-only here: {reason}", "edit it with $EDITOR")
        if self.eol == "CRLF":
            text = text.replace("\n", "\r\n")
        try:
            return self.shield.reveal(text).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise EditRefused(f"a character cannot be written as UTF-8: {error.reason}", "remove it") from error

    def text_of(self, data: bytes) -> str | None:
        """Return other bytes as text for this document's editor; None if they would not survive the round trip."""
        text = data.decode("utf-8", "surrogateescape")
        if self.eol == "CRLF":
            text = text.replace("\r\n", "\n")
        try:
            text = self.shield.hide(text)
            return text if self.with_text(text) == data else None
        except EditRefused:
            return None

    def shield_typed(self, text: str) -> str:
        """Return typed text with stand-ins; raises EditRefused for what a text file cannot contain."""
        if "\0" in text:
            raise EditRefused("not inserted: a NUL byte would make the file binary", "dtui write takes any byte")
        if _SURROGATE.search(text):
            raise EditRefused("not inserted: the terminal sent bytes that are not UTF-8", "set it to UTF-8")
        return self.shield.hide(text)

    def shield_pasted(self, text: str) -> str:
        """Return pasted text with stand-ins; raises EditRefused as :meth:`shield_typed` does.

        Terminals paste a line end as CR. If a paste contains LF, a lone CR is kept as a character.
        """
        return self.shield_typed(text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n"))


def match_in(line: str, words: str, column: int) -> tuple[int, int] | None:
    """Return start and end of the first match from ``column`` on, ignoring case; None if there is none.

    Case folding may lengthen a character, such as ``İ``; the columns refer to the original line.
    """
    folded, needle = line.casefold(), words.casefold()
    if len(folded) == len(line):
        found = folded.find(needle, column)
        return None if found < 0 else (found, found + len(needle))
    origin = [at for at, char in enumerate(line) for _ in char.casefold()]
    found = folded.find(needle)
    while found >= 0 and origin[found] < column:
        found = folded.find(needle, found + 1)
    return None if found < 0 else (origin[found], origin[found + len(needle) - 1] + 1)


def _read_only_document(data: bytes, reason: str, *, binary: bool) -> Document:
    text = "" if binary else data[:PREVIEW_LIMIT].decode("utf-8", "replace")
    text = _DAMAGED.sub("\ufffd", _SHIELDED.sub("\ufffd", text.replace("\r\n", "\n")))
    return Document(data, text, "LF", "binary" if binary else "utf-8", binary, reason, cut=not binary)


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_BY_ENDING = {
    "py": "python", "json": "json", "yaml": "yaml", "yml": "yaml", "toml": "toml", "xml": "xml", "html": "html",
    "htm": "html", "css": "css", "js": "javascript", "mjs": "javascript", "sh": "bash", "bash": "bash", "env": "bash",
    "sql": "sql", "md": "markdown", "go": "go", "rs": "rust", "java": "java", "svg": "xml",
}  # fmt: skip
_BY_NAME = {".bashrc": "bash", ".profile": "bash", "profile": "bash", "PKGBUILD": "bash"}
_BY_SHEBANG = (("python", "python"), ("node", "javascript"), ("sh", "bash"))


def language_of(path: bytes, document: Document) -> str | None:
    """Return the editor's name for a file's language, None for plain text.

    Large files are not highlighted, nor those with stand-ins, which the parser cannot take.
    """
    if len(document.data) > HIGHLIGHT_LIMIT or document.shielded or document.binary:
        return None
    name = path.rsplit(b"/", 1)[-1].decode("utf-8", "replace")
    if name in _BY_NAME:
        return _BY_NAME[name]
    ending = name.rpartition(".")[2].lower()
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    first = document.text.split("\n", 1)[0]
    if first.startswith("#!"):
        return next((language for word, language in _BY_SHEBANG if word in first), None)
    return None


_STEPS = (2, 3, 4, 8)
_USUAL_STEP = 4
_SPACED = ("json", "markdown", "python", "toml", "yaml")
_INDENT = re.compile(r"^(?:\t|  )", re.MULTILINE)


def is_tabbed(document: Document, language: str | None) -> bool:
    """Return whether most indented lines begin with a tab; if no line is indented, decide by language."""
    indents = [match.group() for match in _INDENT.finditer(document.text)]
    return indents.count("\t") * 2 > len(indents) if indents else language not in _SPACED


def indent_unit(document: Document, language: str | None) -> str:
    """Return one level of indentation: a tab, or the most common number of spaces."""
    if is_tabbed(document, language):
        return "\t"
    steps: Counter[int] = Counter()
    before = 0
    for line in document.text.split("\n"):
        if not line.strip():
            continue
        width = len(line) - len(line.lstrip(" "))
        if width - before in _STEPS:
            steps[width - before] += 1
        before = width
    return " " * (steps.most_common(1)[0][0] if steps else _USUAL_STEP)


def hex_lines(data: bytes, *, start: int = 0) -> Iterator[str]:
    """Yield a hex dump as ``hexdump -C`` prints it; ``start`` is the offset of the first byte."""
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        first_half, second_half = row[:8].hex(" "), row[8:].hex(" ")
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{start + offset:08x}  {first_half:<23}  {second_half:<23}  |{ascii_text}|"
