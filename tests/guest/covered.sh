#!/usr/bin/env bash
# Tells what the virtual machine has to prove again because it has changed since.
# usage: covered.sh         prints the parts whose checksum is not the one in the file proven
#        covered.sh PART    prints the checksum of all that a part covers: contract or lab
set -euo pipefail
cd "$(dirname "$0")/../.."

sum_of() {
  local files
  case $1 in
    contract)
      files=(tui/core tui/linux tui/drivers tui/layers tui/files
        tui/engine/{live,at_rest} tui/services/discover.py
        tests/support/dockerd.py tests/drivers/test_every_driver.py)
      ;;
    lab)
      files=(tui/bench tui/linux/process_marks.py tui/lab tui/engine/live
        tests/support/cli.py tests/lab/test_every_driver.py)
      ;;
    *)
      echo "covered.sh: $1 is no part" >&2
      return 2
      ;;
  esac
  find "${files[@]}" tests/guest/*.sh -type f -not -path '*/__pycache__/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

if [ $# -gt 0 ]; then
  sum_of "$1"
  exit
fi
for part in contract lab; do
  sum=$(sum_of "$part")
  grep -qx "$part $sum" tests/guest/proven || echo "$part"
done
