#!/bin/bash
# The first process of a node's namespaces (network, mounts, processes). When it is killed, the kernel ends all that runs
# in them. Started by node.py with the folder of the node, the node's address and the folder for /var/log.
set -euo pipefail
node=$1 address=$2 log=$3

mount --make-rshared / # a peer group of its own: no mount made here reaches the host
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir /var/lib/kubelet
mount --bind "$node/kubelet" /var/lib/kubelet
mount --bind "$log" /var/log
# The kubelet wants these values and would set them for the whole machine. It is shown files that have them.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  echo "${setting#*=}" > "/run/${setting##*/}"
  mount --bind "/run/${setting##*/}" "/proc/sys/${setting%=*}"
done

ip link set lo up
# A pair of links stands for the network card. Service addresses must have a route before they are translated.
ip link add node0 type veth peer name node1
ip address add "$address/32" dev node0
ip link set node0 up
ip link set node1 up
ip route add default dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward # of this network namespace

touch "$node/ready"
while :; do # bash collects what is orphaned to it
  sleep 3600 &
  wait $! || true
done
