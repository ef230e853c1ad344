#!/usr/bin/env bash
# Make the initial RAM disk with which the board's kernel finds its card.
# Usage: initrd.sh ROOT INITRD    ROOT: the board's files; INITRD is written
# Debian's own (initramfs-tools) would take minutes to make, and a minute at every boot: under emulation each program that
# is started costs some tenths of a second. This one loads four modules and goes on to systemd.
set -euo pipefail
root=${1:?usage: initrd.sh ROOT INITRD} initrd=${2:?usage: initrd.sh ROOT INITRD}
tree=$(mktemp -d) && trap 'rm -rf "$tree"' EXIT
mkdir "$tree/bin" "$tree/lib" "$tree/dev" "$tree/card"
for program in sh insmod mount run-init sleep; do cp "$root/usr/lib/klibc/bin/$program" "$tree/bin"; done
cp "$root"/usr/lib/klibc-*.so "$tree/lib"
kernel=("$root"/lib/modules/*)
for module in virtio_pci virtio_blk crc32c_generic ext4; do
  # modules.dep names what a module needs behind it, in the reverse order
  line=$(grep "/$module\.ko:" "${kernel[0]}/modules.dep")
  for path in $(tr -d : <<<"$line" | tr ' ' '\n' | tac); do
    cp "${kernel[0]}/$path" "$tree/lib" && echo "insmod /lib/${path##*/}"
  done
done >"$tree/load"
cat >"$tree/init" <<'INIT'
#!/bin/sh
mount -t devtmpfs dev /dev
. /load
until [ -b /dev/vda ]; do sleep 1; done
mount -t ext4 /dev/vda /card
# Made without the right to make devices (emulated.sh), the card has no /dev/console.
mount -t devtmpfs dev /card/dev
exec run-init /card /sbin/init
INIT
chmod +x "$tree/init"
(cd "$tree" && find . | cpio --quiet -o -H newc --owner 0:0) | gzip -1 >"$initrd"
