#!/usr/bin/env bash
# Run a command as root of a namespace in which programs for aarch64 start, with every user and group of the host.
# Usage: emulated.sh COMMAND...
# ../arm64/enter.sh knows root alone: enough for pip, but Debian's packages make files of other users too. The host's
# binfmt_misc is not touched, which needs Linux 6.7; where qemu-aarch64 is registered already, that is used.
set -euo pipefail
if grep -qs '^interpreter.*qemu-aarch64' /proc/sys/fs/binfmt_misc/*; then exec "$@"; fi
export inside='
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  # ELF, 64 bit, little endian, ET_EXEC or ET_DYN, EM_AARCH64; F opens the interpreter now, outside the chroot
  magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
  mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
  echo ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >/proc/sys/fs/binfmt_misc/register
  exec "$@"'
# It is root there only in a program that is started after its users were mapped.
unshare --user --mount bash -euc 'until [ -n "$(cat /proc/self/uid_map)" ]; do sleep 0.1; done
  exec bash -euc "$inside" emulated "$@"' emulated "$@" &
while [ "$(readlink /proc/$!/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
echo "0 0 65536" >/proc/$!/gid_map
echo "0 0 65536" >/proc/$!/uid_map
wait $!
