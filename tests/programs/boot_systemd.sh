#!/bin/sh
# boot_systemd.sh CGROUP SCRATCH PATH…: become systemd, as PID 1 of a machine that has this machine's files. What it
# writes is in memory; only the directories PATH are the real ones. CGROUP is a group of cgroup 2 for all of it.
set -eu
cgroup=$1 scratch=$2
shift 2
if [ "${BOOT:-}" != inside ]; then
    echo 0 > "$cgroup/cgroup.procs"
    BOOT=inside exec unshare --net --uts --mount --ipc --pid --cgroup --fork --kill-child "$0" "$cgroup" "$scratch" "$@"
fi
ip link set lo up
mount -t tmpfs scratch "$scratch"
root=$scratch/root
mkdir -p "$scratch/upper" "$scratch/work" "$root"
mount -t overlay root -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # the settings of this kernel stay as they are
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 dev "$root/dev"
for node in null zero full random urandom tty; do
    : > "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
for path; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done
echo booted > "$root/etc/hostname"
echo 127.0.1.1 booted >> "$root/etc/hosts"
units=$root/etc/systemd/system
rm -rf "$units"/*.wants
for name in dev-hugepages.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount systemd-modules-load.service systemd-remount-fs.service systemd-sysctl.service \
    systemd-sysusers.service systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-tmpfiles-clean.timer; do
    ln -sf /dev/null "$units/$name"
done
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target
