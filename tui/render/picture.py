"""Convert the SVG that Rich and Textual export to PNG."""

from __future__ import annotations

import html
import re
import shutil
import subprocess

from tui.core.errors import BenchError

_FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
_RUN = re.compile(r'<text ([^>]*?)x="([\d.]+)"([^>]*?)textLength="([\d.]+)"([^>]*)>([^<]*)</text>')


def png_of(svg: str, width: int = 0) -> bytes:
    """Return the PNG, ``width`` pixels wide if given; raises BenchError without a converter."""
    converter = shutil.which("rsvg-convert")
    if converter is None:
        raise BenchError("rsvg-convert is not installed", "apt-get install librsvg2-bin fonts-dejavu-core, or take SVG")
    command = [converter, *([f"--width={width}"] if width else [])]
    data = _by_cells(svg).encode()
    result = subprocess.run(command, input=data, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"})  # noqa: S603 - an absolute path, no shell
    if result.returncode:
        raise BenchError("rsvg-convert cannot draw the picture", "take SVG")
    return result.stdout


def _by_cells(svg: str) -> str:
    """Return the SVG with each character in a cell of its own: in no common font is braille as wide as letters."""
    svg = _FONT_FACE.sub("", svg).replace("Fira Code", "DejaVu Sans Mono")
    return _RUN.sub(_cells, svg)


def _cells(run: re.Match[str]) -> str:
    before, x, between, length, after, content = run.groups()
    text = html.unescape(content)
    if text.isascii():
        return run.group().replace("<text ", '<text xml:space="preserve" ', 1)
    step = float(length) / max(1, len(text))
    return "".join(
        f'<text {before}x="{float(x) + index * step:.1f}"{between}{after}>{html.escape(char)}</text>'
        for index, char in enumerate(text)
        if not char.isspace()
    )
