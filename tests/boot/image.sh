#!/usr/bin/env bash
# Build the system of the board that check_boot.py boots: Debian for arm64 with its kernel and systemd, without edgedense.
# Usage: image.sh DIR    DIR/root, DIR/vmlinuz, DIR/initrd.img and the SSH keys are made, once.
# Needs root, Debian or Ubuntu on the host, 2 GB, and about 5 minutes: the packages' scripts run under emulation.
set -euo pipefail
dir=${1:?usage: image.sh DIR}; here=$(cd "$(dirname "$0")" && pwd)
inputs=$(cat "$0" "$here/emulated.sh" "$here/initrd.sh" $(find "$here/files" -type f | sort) | sha256sum)
[ "$(cat "$dir/complete" 2>/dev/null)" = "$inputs" ] && exit 0
for program in mmdebstrap qemu-system-aarch64 qemu-img qemu-aarch64-static mke2fs cpio ssh mosquitto; do
  command -v $program >/dev/null || missing=$program
done
[ -z "${missing:-}" ] || {
  apt-get update -q >/dev/null
  apt-get install -y -q --no-install-recommends mmdebstrap debian-archive-keyring qemu-system-arm qemu-utils \
    qemu-user-static e2fsprogs cpio openssh-client mosquitto >/dev/null; }

rm -rf "$dir/root" "$dir/complete" && mkdir -p "$dir" && dir=$(cd "$dir" && pwd) && root=$dir/root
packages=linux-image-arm64,systemd-sysv,udev,dbus,kmod,e2fsprogs,openssh-server,sudo,v4l-utils,python3
options=(--dpkgopt=force-unsafe-io)
# The kernel's hook would make an initial RAM disk: many minutes under emulation.
options+=(--dpkgopt=path-exclude=/etc/kernel/postinst.d/initramfs-tools)
for unused in doc man locale info; do options+=("--dpkgopt=path-exclude=/usr/share/$unused/*"); done
for unused in gpu infiniband iio staging net/ethernet net/wireless hwmon mtd isdn usb bluetooth; do
  options+=("--dpkgopt=path-exclude=/lib/modules/*/kernel/drivers/$unused/*")
done
# emulated.sh registers qemu-aarch64, for which mmdebstrap would look elsewhere.
"$here/emulated.sh" mmdebstrap --mode=root --arch=arm64 --variant=minbase --skip=check/qemu --include=$packages \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "${options[@]}" \
  --essential-hook="cp -r '$here/files/.' \"\$1\"" \
  --customize-hook='chroot "$1" useradd --create-home --groups video,sudo --shell /bin/bash pi' \
  --customize-hook='chroot "$1" systemctl enable systemd-networkd look' \
  --customize-hook='chroot "$1" systemctl mask systemd-networkd-wait-online e2scrub_reap apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer' \
  bookworm "$root" >"$dir/mmdebstrap.log" 2>&1 || { tail -n 20 "$dir/mmdebstrap.log" >&2; exit 1; }
chmod 0440 "$root/etc/sudoers.d/010_pi-nopasswd" # git keeps no such modes
cp "$root"/boot/vmlinuz-* "$dir/vmlinuz" && "$here/initrd.sh" "$root" "$dir/initrd.img"
rm -f "$dir/key" "$dir/key.pub" && ssh-keygen -q -t ed25519 -N "" -f "$dir/key"
install -D -m 0600 "$dir/key.pub" "$root/root/.ssh/authorized_keys"
sed 's/^/board /' "$root/etc/ssh/ssh_host_ed25519_key.pub" >"$dir/known_hosts"
echo "$inputs" >"$dir/complete"
