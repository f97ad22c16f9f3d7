#!/bin/sh
# What stands before the OCI runtime where it cannot be called as it is (engine/runtime.py).
#
# usage: oci-shim.sh [-u DIRECTORY] [-n] [-o] PROGRAM ARGUMENT...
#
#   -u DIRECTORY  unmount it first. crun before 1.9 refuses a host with control groups of
#                 version 1 when a version 2 tree with controllers is in sight. The caller
#                 has put this process into a mount namespace of its own (unshare).
#   -n            give an empty stdin. crun before 1.9 hands the files it has as standard
#                 streams over to the container's root, and conmon gives it /dev/null: the
#                 host's device would then belong to a container.
#   -o            give stderr, a pipe, as stdout: for a container with a terminal, conmon has
#                 the null device there too.
set -eu

empty=
while getopts u:no option; do
    case $option in
        u) umount "$OPTARG" ;;
        n) empty=yes ;;
        o) exec >&2 ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

if [ -n "$empty" ]; then
    : | "$@"
else
    exec "$@"
fi
