"""``dtui doctor``: what is there, what is missing, and the command that fixes it."""

from __future__ import annotations

import os
import platform
import shutil
from argparse import Namespace
from dataclasses import asdict, dataclass

from tui.cli.ask_endpoints import ask_all
from tui.cli.lookup import find_endpoints
from tui.cli.output import print_json, print_line
from tui.core.errors import DtuiError
from tui.core.state import state_dir
from tui.core.text import count_of, human_size, printable
from tui.files import TOTAL_LIMIT, pending, privileged, undo_records
from tui.lab.engines import sweep_labs
from tui.linux.syscalls import has_openat2
from tui.services.bench_targets import lab_home
from tui.services.discover import Discovery

_MOUNT_KERNEL = (6, 8)
"""First Linux that accepts the lower layers of an overlay one by one (``lowerdir+``)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: whether it passed, what was found, and what fixes it. The field names are keys of the JSON output."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True
    """False if only a part of dtui needs it."""


def run(options: Namespace) -> int:
    """Print one line per check; exit code 1 if something needed is missing."""
    discovered: Discovery | None = None
    lab_lines = sweep_labs(lab_home()) if privileged() else ()
    try:
        discovered = find_endpoints(options)
        checks = [*_host(), *_labs(lab_lines), *_engines(discovered)]
    except DtuiError as error:
        checks = [*_host(), Check("endpoint", False, error.message, error.hint)]
    finally:
        if discovered:
            discovered.close()
    if options.json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            mark = "ok     " if check.ok else "MISSING" if check.needed else "without"
            print_line(
                f"{mark}  {check.name:<10} {printable(check.found)}"
                + (f"  →  {printable(check.mend)}" if check.mend else "")
            )
    return 0 if all(check.ok or not check.needed for check in checks) else 1


def _host() -> list[Check]:
    version = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in platform.release().split(".")[:2])
    kernel_ok = version >= _MOUNT_KERNEL
    iozone = shutil.which("iozone")
    is_root = privileged()
    return [
        Check(
            "kernel",
            True,
            f"Linux {platform.release()}"
            + ("" if has_openat2() else ", without openat2: paths are resolved name by name"),
        ),
        Check(
            "mounts",
            kernel_ok,
            "stopped overlay2 containers can be edited" if kernel_ok else "stopped overlay2 containers are read-only",
            "" if kernel_ok else "Linux 6.8 or newer is needed to edit them",
            needed=False,
        ),
        Check(
            "root",
            is_root,
            "all layers can be read" if is_root else "only your own data-roots can be read",
            "" if is_root else "sudo dtui",
        ),
        Check(
            "iozone",
            iozone is not None,
            iozone or "not installed; the benchmark needs it",
            "" if iozone else "apt-get install iozone3 (Debian non-free)",
            needed=False,
        ),
        *_store(),
        Check("editor", True, os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"),
    ]


def _labs(lines: tuple[str, ...]) -> list[Check]:
    """Report what killed benchmarks left behind, which has been removed by now."""
    return [
        Check("bench", "cannot" not in line, line, "dtui doctor tries again" if "cannot" in line else "")
        for line in lines
    ]


def _store() -> list[Check]:
    """Check dtui's own state: unfinished changes and backups."""
    try:
        records = tuple(undo_records())
        cut_off = len(pending()) + sum(record.cut_off for record in records)
        directory = state_dir("backups")
    except DtuiError as error:
        return [Check("backups", False, error.message, error.hint)]
    size = human_size(sum(record.size for record in records))
    return [
        Check(
            "journal",
            not cut_off,
            f"{count_of(cut_off, 'change')} cut off" if cut_off else "no change was cut off",
            "the next change or the next start of the app recovers it" if cut_off else "",
        ),
        Check(
            "backups",
            True,
            f"{directory}: {count_of(len(records), 'change')}, {size} of at most {human_size(TOTAL_LIMIT)}",
        ),
    ]


def _engines(discovered: Discovery) -> list[Check]:
    checks = []
    answers = ask_all(discovered.endpoints, lambda endpoint: endpoint.facts())
    for endpoint, facts in zip(discovered.endpoints, answers, strict=True):
        if isinstance(facts, DtuiError):
            checks.append(Check("endpoint", False, f"{endpoint.address}: {facts.message}", facts.hint))
        else:
            backing = f" on {facts.backing}" if facts.backing else ""
            description = (
                f"{endpoint.address}: {facts.product} {facts.version}, {facts.driver.name}{backing}, {facts.data_root}"
            )
            checks.append(Check("endpoint", True, description))
            readable = not facts.local or os.access(facts.data_root, os.R_OK | os.X_OK)
            mend = "" if readable else "run dtui as root, on the Engine's own host"
            checks.append(Check("data-root", readable, facts.data_root, mend))
    if not discovered.endpoints:
        checks += [
            Check("tried", False, f"{attempt.address}: {attempt.reason}", needed=False) for attempt in discovered.tried
        ]
        checks.append(
            Check("daemon", False, "no Docker Engine answers", "systemctl start docker, or apt-get install docker.io")
        )
    return checks
