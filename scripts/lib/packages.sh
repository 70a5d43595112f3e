# Shell functions for what a script needs from Debian: sourced by scripts/*, POSIX sh. Installs what is missing,
# says so on stderr, and leaves alone what is there.

# need_packages NAME...
need_packages() {
    packages_missing=
    for packages_name; do
        packages_status=$(dpkg-query -W -f='${db:Status-Status}' "$packages_name" 2>/dev/null) || packages_status=
        [ "$packages_status" = installed ] || packages_missing="$packages_missing $packages_name"
    done
    [ -n "$packages_missing" ] || return 0
    echo "installing from Debian:$packages_missing" >&2
    packages_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "neither root nor sudo here; as root: apt-get install$packages_missing" >&2
            return 1
        fi
        packages_root=sudo
    fi
    packages_log=$(mktemp)
    # shellcheck disable=SC2086 # lists of words
    if ! { $packages_root apt-get update &&
        $packages_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            $packages_missing; } >"$packages_log" 2>&1 </dev/null; then
        tail -n 30 "$packages_log" >&2
        rm -f "$packages_log"
        return 1
    fi
    rm -f "$packages_log"
}

# need_venv DIRECTORY REQUIREMENTS: a virtual environment of Debian's python with exactly these, made anew when the
# list has changed.
need_venv() {
    if [ -x "$1/bin/python" ] && cmp -s "$2" "$1/requirements.txt"; then
        return 0
    fi
    echo "making $1 with $2" >&2
    rm -rf "$1"
    /usr/bin/python3 -m venv "$1" &&
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" >&2 &&
        cp "$2" "$1/requirements.txt"
}
