#!/usr/bin/env bash
# Unpack MySQL 9 into a directory, and print the name of its program, for MYSQLD. Nothing is installed, nothing else is changed.
#
#   MYSQLD=$(tests/cluster/unpack_mysql.sh /var/tmp/mysql) CLUSTER=long python3 server.py test -m cluster -k group_replication -s
#
# For Debian on x86_64, any release: it takes the packages of Debian's next one (SUITE, default sid) from the mirror in /etc/apt,
# signed as ever, with all libraries, libc too. They take 330 MB; remove the directory afterwards.
set -euo pipefail
mkdir -p "${1:?a directory}"
home=$(cd "$1" && pwd) root=$home/root suite=${SUITE:-sid}

mirror() { # the first of this machine, in either form of its files
    { cat /etc/apt/sources.list.d/*.sources | sed -n 's/^URIs: *\([^ ]*\).*/\1/p'
      cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list | sed -n 's/^deb \+\(\[[^]]*] *\)\?\([^ ]*\).*/\2/p'; } 2>/dev/null |
        grep -m 1 -E '/debian/?$'
}

private_apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$home/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache="$home/cache" \
        -o Dir::State::lists="$home/lists" -o Dir::State::status="$home/status" -o Acquire::Languages=none \
        -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true "$@" >&2
}

if [ ! -x "$home/mysqld" ]; then
    mkdir -p "$root" "$home/lists/partial" "$home/cache/archives/partial"
    : >"$home/status" # nothing is installed: so libc is fetched, too
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" >"$home/sources.list"
    private_apt update
    private_apt -y --download-only install mysql-server-core
    for package in "$home"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$root"
    done
    rm -r "$home/cache" "$home/lists"
    cat >"$home/mysqld" <<END
#!/bin/sh
# With the loader and the libraries of its own release.
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/libfakeroot" \\
    "$root/usr/sbin/mysqld" "\$@" --basedir="$root/usr" --plugin-dir="$root/usr/lib/mysql/plugin" \\
    --lc-messages-dir="$root/usr/share/mysql" --character-sets-dir="$root/usr/share/mysql/charsets"
END
    chmod +x "$home/mysqld"
fi
echo "$home/mysqld"
