#!/usr/bin/env bash
# Runs in the virtual machine, as root: installs paas from the synced checkout.
# PAAS_KEY is the public key of whoever runs vagrant, or empty.
set -euo pipefail

# Names below localhost need no DNS: http://hello.localhost:8080 reaches the forwarded port.
options=(--domain localhost)
if [ -n "${PAAS_KEY:-}" ]; then
    printf '%s\n' "$PAAS_KEY" >/run/paas-vagrant.pub
    options+=(--key /run/paas-vagrant.pub)
fi
exec /srv/paas/install.sh "${options[@]}"
