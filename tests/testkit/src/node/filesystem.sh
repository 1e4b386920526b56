#!/bin/sh
# Sourced by the first process of fresh namespaces: what of the machine's file system a node would write to is replaced.
# Everything here goes with the mount namespace.

# A fresh /sys shows the interfaces of this network namespace.
mount -t sysfs sysfs /sys
# The cgroup namespace makes the own cgroup the root of each hierarchy that is mounted in it.
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  case $controllers in
    '') continue ;;
    name=*) folder=${controllers#name=} options=none,$controllers ;;
    *) folder=$controllers options=$controllers ;;
  esac
  mkdir "/sys/fs/cgroup/$folder"
  mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$folder"
  # Controllers that share a hierarchy are looked for by their own names.
  for controller in $(echo "$folder" | tr , ' '); do
    [ "$controller" = "$folder" ] || ln -s "$folder" "/sys/fs/cgroup/$controller"
  done
done </proc/self/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up

# What kubelet writes into these settings of the kernel would be for the whole machine: it writes into files instead.
mkdir /run/sysctl
shadow() {
  echo "$2" >"/run/sysctl/${1##*/}"
  mount --bind "/run/sysctl/${1##*/}" "/proc/sys/$1"
}
shadow vm/overcommit_memory 1
shadow vm/panic_on_oom 0
shadow kernel/panic 10
shadow kernel/panic_on_oops 1
shadow kernel/keys/root_maxkeys 1000000
shadow kernel/keys/root_maxbytes 25000000
