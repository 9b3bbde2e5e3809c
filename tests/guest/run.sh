#!/usr/bin/env bash
# Runs the contract of every storage driver on devicemapper and ZFS, in the virtual machine that build.sh makes.
# usage: run.sh PYTHON [CELLS]    PYTHON has the tests' packages; what was proven is appended to the file CELLS
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
python=$1
cells=${2:-/dev/null}
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
guest=${DTUI_TEST_CACHE:-/var/cache/dtui-tests}/guest
[ -e "$guest/disk.img" ] || "$here/build.sh" "$guest"

work=$(mktemp -d /var/tmp/dtui-guest-run-XXXXXX)
trap 'rm -rf "$work"' EXIT
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cat >"$work/scenario.sh" <<'SCENARIO'
export PYTHONPATH=/work/packages:/work CI=true DTUI_GUEST=1 DTUI_CELLS=/work/cells.jsonl TMPDIR=/var/tmp
python3 -m pytest -v -p no:cacheprovider -p no:xdist --tb=short --color=no tests/engine/test_every_driver.py
result=$?
sed 's/^/CELL /' /work/cells.jsonl
exit $result
SCENARIO
# the compiled packages are for static checks and colours: nothing that the contract needs
tar -C "$repo" -cf "$work/work.tar" --exclude=__pycache__ tui tests pyproject.toml
tar -C "$work" -rf "$work/work.tar" scenario.sh
tar -C "$packages" -rf "$work/work.tar" --transform='s,^\./,packages/,' --exclude=__pycache__ --exclude='./mypy*' \
  --exclude='./*mypyc*' --exclude='./pip*' --exclude='./setuptools*' --exclude='./tree_sitter*' --exclude='./grimp*' \
  --exclude='./importlinter*' --exclude='./hypothesis*' --exclude='./_hypothesis*' --exclude='./__editable__*' .

covered=$("$here/covered.sh")
timeout "${DTUI_GUEST_SECONDS:-1500}" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -cpu max -m 3072 \
  -nographic -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -snapshot \
  -drive "file=$guest/disk.img,if=virtio,format=raw,cache=unsafe" \
  -drive "file=$work/work.tar,if=virtio,format=raw" \
  -append 'console=ttyS0 quiet panic=-1' </dev/null | sed -u 's/\r//g' | tee "$work/console"
sed -n 's/^CELL //p' "$work/console" >>"$cells"
grep -q '^GUEST ENDED 0$' "$work/console"
echo "$covered" >"$here/proven"
