"""The image that the tests import: its name, its files, and commands for one more layer."""

from __future__ import annotations

IMAGE = "shop/web:1"
"""The image of most test containers."""

FILES: dict[str, bytes | tuple[bytes, int]] = {
    "app/start.sh": (b"#!/bin/sh\necho starting\nexit_with 0\n", 0o755),
    "app/keep.txt": b"kept\n",
    "etc/motd": b"hello\n",
    "etc/app.conf": b"port=80\n",
    "conf.d/a.conf": b"a\n",
    "conf.d/b.conf": b"b\n",
    "data/big.bin": bytes(range(256)) * 64,
    "old/one/two.txt": b"two\n",
}
"""The files of the image: contents, or contents and mode."""

PREPARE = "ln /app/keep.txt /app/also.txt; ln -s /etc/passwd /abs; ln -s ../../../../../../etc/shadow /app/up; "
PREPARE += "ln -s loop /loop; ln -s /nowhere /dangling; mkfifo /pipe; mknod /null c 1 3; mknod /disk b 7 0; "
PREPARE += "mkdir -p /srv/www /usr/lib; echo inside > /etc/passwd; echo inside-shadow > /etc/shadow; "
PREPARE += "mkdir -p /tree/a /tree/b/c; cd /tree; echo af > a/f; echo ag > a/g; echo h > b/c/h; echo f > f; "
PREPARE += "chmod 600 a/g; chmod 755 b/c/h; chmod 750 b; mkdir -p /run /var; ln -s ../run /var/run"
"""Commands for a layer with links that lead out of the container, special files, and a file with two names."""
