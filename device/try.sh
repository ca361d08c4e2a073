#!/bin/sh
# Runs the packed folder's `check` on the emulated driver, in a Debian without Rust, compiler or model:
# `try.sh PACK DRIVER ROOT`, as root. ROOT is made by debootstrap if it is not there; results go to PACK-try.
set -eu
pack=$1
driver=$2
root=$3
if [ ! -e "$root/bin/sh" ]; then
    command -v debootstrap > /dev/null || { echo "needs debootstrap" >&2; exit 2; }
    debootstrap --variant=minbase --include=xz-utils bookworm "$root" > "$root.log"
fi
rm -rf "$root/device" "$pack-try"
mkdir -p "$root/device/driver"
cp -r "$pack" "$root/device/pack"
cp "$driver"/*.so* "$root/device/driver"
status=0
# Its own /proc and /dev, which are gone with it.
unshare --mount --pid --fork sh -eu -c '
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    exec chroot "$1" env -i PATH=/usr/bin:/bin HOME=/root DEVICE_DRIVER=/device/driver /device/pack/run.sh check' sh "$root" || status=$?
cp -r "$root/device/pack/results" "$pack-try"
exit $status
