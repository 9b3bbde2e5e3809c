#!/usr/bin/env bash
# Prints one checksum of all that the virtual machine proves: what has changed since has to be proven again.
set -euo pipefail
cd "$(dirname "$0")/../.."
find tui/core tui/drivers tui/layers tui/editing tui/engine/{live,offline,atrest,parse,discover}.py tests/guest/*.sh tests/support/dockerd.py \
  tests/engine/test_every_driver.py -type f -not -path '*/__pycache__/*' -print0 |
  LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
