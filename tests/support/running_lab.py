"""A running container that can be put back to what it was as often as one likes, through its own root."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.boxes import Box
from tests.support.stopped_lab import Lab, furnish
from tests.support.tree_state import View, walk
from tui.engine.live.endpoint import LiveEndpoint

_CHANGED = ("app", "old", "conf.d", "etc/moved", "srv/far/moved")
"""Where acts change anything."""


@dataclass
class LivingLab(Lab):
    """A lab around a running container; ``layer`` is its root, as its processes see it."""

    def keep(self) -> None:
        """Take what is there now for what it is put back to."""
        shutil.rmtree(self.saved)
        self.saved.mkdir()
        self._save()
        self.keep_state()
        self._begin()

    def _save(self) -> None:
        for place in _CHANGED:
            if (self.layer / place).exists():
                (self.saved / place).parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["/bin/cp", "-a", self.layer / place, (self.saved / place).parent], check=True)

    def _copy(self, source: Path, target: Path) -> None:  # type: ignore[override]
        if source == self.layer:
            self._save()
        else:
            Lab._copy(source, target)

    def reset(self) -> None:
        """Put the container's files back under its feet, and what dtui keeps on the host."""
        for place in _CHANGED:
            if (self.layer / place).exists():
                shutil.rmtree(self.layer / place)
            if (self.saved / place).exists():
                subprocess.run(["/bin/cp", "-a", self.saved / place, (self.layer / place).parent], check=True)
        self.reset_state()

    def view(self) -> View:
        """Return what the container sees."""
        return walk(self.layer, self.clock)

    def leftovers(self) -> list[str]:
        """Return what of dtui's lies about in the container."""
        return [path for path in self.view() if "dtui" in path]


def of_running(box: Box, state: Path) -> LivingLab:
    """Return a lab around a running container with a volume at /srv/far."""
    root = Path(f"/proc/{box.details.pid}/root")
    furnish(root)
    places = {
        "save": b"/app/start.sh",
        "delete": b"/old",
        "goal": b"/etc/moved",
        "far": b"/srv/far/moved",
        "revert": b"/conf.d",
    }
    host = box.engine.host
    lab = LivingLab(box.id, root, state, lambda: LiveEndpoint("local", host), places)
    lab.reset()  # what is renamed is the layer's own from now on
    lab.keep()
    return lab
