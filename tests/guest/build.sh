#!/usr/bin/env bash
# Builds a virtual machine that has what few kernels have: devicemapper's thin pools and ZFS, and Docker 20.10 on both.
# usage: build.sh DIRECTORY    leaves vmlinuz, initrd.gz and disk.img there; about 6 minutes, needs root and a network
set -euo pipefail
out=$1
here=$(cd "$(dirname "$0")" && pwd)
mirror=http://deb.debian.org/debian
work=$(mktemp -d /var/tmp/dtui-guest-XXXXXX)
root=$work/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
cleanup() {
  for place in proc sys dev; do umount -l "$root/$place" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT

debootstrap --variant=minbase --components=main,contrib,non-free --include=docker.io,busybox-static,iozone3,dmsetup,\
thin-provisioning-tools,e2fsprogs,xfsprogs,python3,kmod,udev,iproute2,procps,ca-certificates bookworm "$root" "$mirror"
echo "deb http://deb.debian.org/debian-security bookworm-security main contrib" >>"$root/etc/apt/sources.list"
for place in proc sys dev; do mount --bind "/$place" "$root/$place"; done
# dkms and the engine must not start anything here
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
chroot "$root" apt-get update -qq
image=$(chroot "$root" apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-6[^ ]*\)$/\1/p' | head -1)
version=${image#linux-image-}
mkdir -p "$root/tmp/kernel"
(cd "$root/tmp/kernel" && chroot "$root" sh -c "cd /tmp/kernel && apt-get download -qq $image") # without its hooks
dpkg-deb -x "$root"/tmp/kernel/*.deb "$work/kernel" # not into the root: its /lib is a link
mkdir -p "$root/usr/lib/modules"
cp -a "$work/kernel/lib/modules/." "$root/usr/lib/modules/"
chroot "$root" depmod "$version"
chroot "$root" apt-get install -y -qq --no-install-recommends "linux-headers-$version" dkms zfs-dkms zfsutils-linux
cp -a "$root/usr/lib/modules/$version/updates" "$work/updates" # dkms takes them along when it goes
chroot "$root" apt-get purge -y -qq "linux-headers-$version" dkms gcc-12 cpp-12 >/dev/null 2>&1 || true
cp -a "$work/updates" "$root/usr/lib/modules/$version/"
chroot "$root" depmod "$version"
chroot "$root" modinfo -k "$version" zfs >/dev/null

mkdir -p "$out" "$work/initrd/bin" "$work/initrd/modules"
cp "$work/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
cp "$root/bin/busybox" "$work/initrd/bin/busybox"
ln -s busybox "$work/initrd/bin/sh"
# the order is modprobe's own: virtio_ring before virtio, and so on
chroot "$root" modprobe --show-depends -S "$version" --all virtio_pci virtio_blk crc32c_generic ext4 |
  awk '/^insmod/ {print $2}' | awk '!seen[$0]++' >"$work/modules"
while read -r module; do
  cp "$root$module" "$work/initrd/modules/"
  basename "$module" >>"$work/initrd/modules/order"
done <"$work/modules"
cp "$here/initrd-init.sh" "$work/initrd/init"
chmod +x "$work/initrd/init"
(cd "$work/initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd.gz"

for place in proc sys dev; do umount "$root/$place"; done
cp "$here/init.sh" "$root/dtui-init"
chmod +x "$root/dtui-init"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale} "$root/usr/src" \
  "$root/tmp/kernel" "$root/usr/lib/modules/$version/kernel"/{sound,drivers/{gpu,media,net,infiniband,staging}}
truncate -s 8G "$work/disk.img"
mke2fs -q -t ext4 -d "$root" "$work/disk.img"
mv "$work/disk.img" "$out/disk.img"
