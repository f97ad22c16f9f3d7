#!/bin/bash
# What every process of a buildpack app is started by: its environment, then the process.
# https://devcenter.heroku.com/articles/dynos, "The .profile file" and .profile.d
cd /app || exit 1
for paas_profile in .profile.d/*.sh .profile; do
    if [ -f "$paas_profile" ]; then
        # shellcheck source=/dev/null
        . "./$paas_profile"
    fi
done
unset paas_profile
# The command of a process type is bash's there.
if [ "$1 ${2-}" = "/bin/sh -c" ]; then
    shift
    exec /bin/bash "$@"
fi
exec "$@"
