#!/usr/bin/env bash
# Run a command in an emulated userland, on one board's processor.
# Usage: enter.sh DIR BOARD COMMAND...    DIR: what userland.sh made; BOARD: pi4 or pi5, recorded in ../device/boards
# The recorded /proc/cpuinfo takes the place of the host's, for it decides what kernels the runtime picks, and the
# recorded /sys that of the host. Everything is mounted in namespaces of this one command: nothing is left behind,
# and the host's binfmt_misc is not touched. That needs Linux 6.7; on an older one register qemu-aarch64 yourself
# (Debian's package qemu-user-static does) and this script uses it.
set -euo pipefail
dir=$(cd "${1:?usage: enter.sh DIR BOARD COMMAND...}" && pwd); board=$(cd "$(dirname "$0")/../device/boards/$2" && pwd)
case $2 in pi4) QEMU_CPU=cortex-a72 ;; pi5) QEMU_CPU=cortex-a76 ;; *) echo "enter.sh: no board $2" >&2; exit 2 ;; esac
shift 2
export root=$dir/root board QEMU_CPU
registered=$(grep -ls '^interpreter.*qemu-aarch64' /proc/sys/fs/binfmt_misc/* || true)
[ -n "$registered" ] || namespace=(--user --map-root-user)
exec unshare "${namespace[@]}" --mount bash -euc '
  # shellcheck disable=SC2154
  if [ -z "'"$registered"'" ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    # ELF, 64 bit, little endian, ET_EXEC or ET_DYN, EM_AARCH64; F opens the interpreter now, outside the chroot
    magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    echo ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >/proc/sys/fs/binfmt_misc/register
  fi
  mount --rbind /proc "$root/proc" && mount --bind "$board/proc/cpuinfo" "$root/proc/cpuinfo"
  mount --rbind /dev "$root/dev" && mount --bind "$board/sys" "$root/sys"
  exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/root/.local/bin HOME=/root LANG=C.UTF-8 TERM=dumb QEMU_CPU="$QEMU_CPU" \
    ${PIP_NO_INDEX:+PIP_NO_INDEX=$PIP_NO_INDEX} ${PIP_FIND_LINKS:+PIP_FIND_LINKS=$PIP_FIND_LINKS} chroot "$root" "$@"
' enter "$@"
