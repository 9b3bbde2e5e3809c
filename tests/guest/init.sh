#!/bin/bash
# Second stage: the usual mounts, the modules, then the tests from the second disk; powers off whatever happens.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mountpoint -q /proc || mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -o remount,rw /
ip link set lo up
for module in loop overlay dm-thin-pool xfs zfs; do modprobe "$module" || echo "no module $module"; done
/lib/systemd/systemd-udevd --daemon
udevadm trigger
mkdir -p /work
tar -xf /dev/vdb -C /work
cd /work && bash ./scenario.sh
echo "GUEST ENDED $?"
sync
echo o >/proc/sysrq-trigger
sleep 30
