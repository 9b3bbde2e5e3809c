"""A running container that can be reset to a saved state again and again, through its own root."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.boxes import Box
from tests.support.stopped_lab import Lab, furnish
from tests.support.tree_state import View, walk
from tui.engine.live.live_endpoint import LiveEndpoint

_CHANGED = ("app", "old", "conf.d", "etc/moved", "srv/far/moved")
"""The paths that acts may change."""


@dataclass
class LivingLab(Lab):
    """A lab with a running container; ``layer`` is the root that its processes see."""

    def keep(self) -> None:
        """Make the current state the one that :meth:`reset` restores."""
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
        """Restore the container's files while it runs, and dtui's state directory."""
        for place in _CHANGED:
            if (self.layer / place).exists():
                shutil.rmtree(self.layer / place)
            if (self.saved / place).exists():
                subprocess.run(["/bin/cp", "-a", self.saved / place, (self.layer / place).parent], check=True)
        self.reset_state()

    def view(self) -> View:
        return walk(self.layer, self.clock)

    def leftovers(self) -> list[str]:
        """Return the paths in the container that dtui left behind."""
        return [path for path in self.view() if "dtui" in path]


def of_running(box: Box, state: Path) -> LivingLab:
    """Return a lab with a running container that has a volume at /srv/far."""
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
    lab.reset()  # so that the files to rename are in the container's own layer
    lab.keep()
    return lab
