#!/bin/sh
# Process 1 of the namespaces of a node: containerd and kubelet. With it everything in them ends.
#
#   $1 name   $2 folder of the node   $3 folder of the images   the rest: arguments of kubelet
set -eu
name=$1 folder=$2 images=$3
shift 3
hostname "$name"
# Fixed places of kubelet (device plug-ins, links to logs) and of CNI (results).
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
mkdir -p /run/cni /run/containerd /run/node
# A short path: those of sockets are limited.
mount --bind "$folder" /run/node

# The harness makes the interface.
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip link set eth0 up
ip -batch "$folder/network"
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
cp "$folder/resolv.conf" /run/resolv.conf

containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 &
until ctr version >/dev/null 2>&1; do sleep 0.1; done
for image in "$images"/*.tar; do
  ctr --namespace k8s.io images import --local "$image"
done
kubelet "--config=$folder/kubelet.json" --root-dir=/run/node/kubelet "--kubeconfig=$folder/kubeconfig" \
  "--hostname-override=$name" --v=2 "$@" >"$folder/kubelet.log" 2>&1 &
# Also for processes that have lost their parent.
wait
