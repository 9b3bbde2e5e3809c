#!/usr/bin/env bash
# Runs on devicemapper and ZFS, in the virtual machine that build.sh makes, the contract of every storage driver and
# the benchmark's lab.
# usage: run.sh PYTHON [CELLS [PART...]]    PYTHON has the tests' packages; what the contract proved of each driver is
#                                           appended to the file CELLS; the parts are contract and lab, else both
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
python=$1
cells=${2:-/dev/null}
parts=("${@:3}")
[ ${#parts[@]} -gt 0 ] || parts=(contract lab)
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
guest=${DTUI_TEST_CACHE:-/var/cache/dtui-tests}/guest
declare -A tests=([contract]=tests/drivers/test_every_driver.py [lab]=tests/lab/test_every_driver.py)

# built anew when what it is built from has changed; the name of the recipe is written last
recipe=$(cat "$here"/{build,init,initrd-init}.sh | sha256sum | cut -d' ' -f1)
mkdir -p "$guest"
exec 9>"$guest/lock"
flock 9
if [ ! -e "$guest/recipe" ] || [ "$(cat "$guest/recipe")" != "$recipe" ]; then
  rm -f "$guest/recipe"
  "$here/build.sh" "$guest" 9>&-
  echo "$recipe" >"$guest/recipe"
fi
flock -u 9

work=$(mktemp -d /var/tmp/dtui-guest-run-XXXXXX)
trap 'rm -rf "$work"' EXIT
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
{
  echo "export PYTHONPATH=/work/packages:/work CI=true DTUI_GUEST=1 DTUI_CELLS=/work/cells.jsonl TMPDIR=/var/tmp"
  echo ": >/work/cells.jsonl"
  for part in "${parts[@]}"; do
    echo "python3 -m pytest -v -p no:cacheprovider -p no:xdist --tb=short --color=no --durations=9 ${tests[$part]} &&"
    echo "  echo 'GUEST PROVED $part'"
  done
  echo "sed 's/^/CELL /' /work/cells.jsonl"
} >"$work/scenario.sh"
# the compiled packages are for static checks and colours: nothing that the tests in there need
tar -C "$repo" -cf "$work/work.tar" --exclude=__pycache__ tui tests pyproject.toml
tar -C "$work" -rf "$work/work.tar" scenario.sh
tar -C "$packages" -rf "$work/work.tar" --transform='s,^\./,packages/,' --exclude=__pycache__ --exclude='./mypy*' \
  --exclude='./*mypyc*' --exclude='./pip*' --exclude='./setuptools*' --exclude='./tree_sitter*' --exclude='./grimp*' \
  --exclude='./importlinter*' --exclude='./hypothesis*' --exclude='./_hypothesis*' --exclude='./__editable__*' .

declare -A covered
for part in "${parts[@]}"; do covered[$part]=$("$here/covered.sh" "$part"); done
timeout "${DTUI_GUEST_SECONDS:-3600}" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -cpu max -m 3072 \
  -nographic -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -snapshot \
  -drive "file=$guest/disk.img,if=virtio,format=raw,cache=unsafe" \
  -drive "file=$work/work.tar,if=virtio,format=raw" \
  -append 'console=ttyS0 quiet panic=-1' </dev/null | sed -u 's/\r//g' | tee "$work/console" ||
  echo "the virtual machine did not end by itself" >&2
sed -n 's/^CELL //p' "$work/console" >>"$cells"
failed=()
for part in "${parts[@]}"; do
  if grep -qx "GUEST PROVED $part" "$work/console"; then
    { grep -v "^$part " "$here/proven" || true; echo "$part ${covered[$part]}"; } | sort >"$work/proven"
    cp "$work/proven" "$here/proven"
  else
    failed+=("$part")
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "not proven in the virtual machine: ${failed[*]}" >&2; exit 1; }
