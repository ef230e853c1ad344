#!/usr/bin/env bash
# Build the files of an emulated Raspberry Pi OS: Debian for arm64 with Python, pip, pipx, NumPy and Pillow from Debian.
# Usage: userland.sh SUITE DIR    SUITE: bookworm (Python 3.11) or trixie (Python 3.13); DIR/root is filled, once.
# Needs root, Debian or Ubuntu on the host, and about 2 minutes and 700 MB. enter.sh runs commands in it.
set -euo pipefail
suite=${1:?usage: userland.sh SUITE DIR}; dir=${2:?usage: userland.sh SUITE DIR}
packages=python3,python3-pip,python3-venv,python3-numpy,python3-pil,pipx,ca-certificates
[ "$suite" != bookworm ] || packages+=,libpng-dev,libturbojpeg0-dev,nlohmann-json3-dev # for examples/cpp
[ "$(cat "$dir/complete" 2>/dev/null)" = $packages ] && exit 0
command -v debootstrap >/dev/null && command -v qemu-aarch64-static >/dev/null && command -v qemu-aarch64 >/dev/null &&
  command -v aarch64-linux-gnu-g++ >/dev/null || {
  apt-get update -q >/dev/null
  apt-get install -y -q qemu-user qemu-user-static debootstrap gcc g++-aarch64-linux-gnu cmake pkg-config >/dev/null; }

rm -rf "$dir" && mkdir -p "$dir" && dir=$(cd "$dir" && pwd) && root=$dir/root
debootstrap --arch=arm64 --foreign --variant=minbase --include=$packages "$suite" "$root" >"$dir/debootstrap.log"
# The second stage would run every package's scripts under emulation, for minutes. Unpacking is enough, with what the
# scripts of a few packages would have made. Links to folders stay: /lib is a link since Debian merged it with /usr.
for deb in "$root"/var/cache/apt/archives/*.deb; do
  dpkg --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink
done
rm -f "$root"/var/cache/apt/archives/*.deb
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
for library in blas lapack; do # update-alternatives
  ln -sf "$library/lib$library.so.3" "$root/usr/lib/aarch64-linux-gnu/lib$library.so.3"
done
mkdir -p "$root/etc/ssl/certs" # update-ca-certificates
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
for folder in proc sys dev; do # debootstrap in a container makes links of them
  if [ -L "$root/$folder" ]; then rm "$root/$folder"; fi
done
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/work" "$root/tmp" && echo $packages >"$dir/complete"
