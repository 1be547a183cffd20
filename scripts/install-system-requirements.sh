#!/usr/bin/env bash
# What the tests need besides Python: Java 17 and Maven for a real Apache Kafka, Chromium for web pages, PostgreSQL for
# the risk store, and Prometheus with promtool; `kafka`, `chromium`, `postgresql` and `prometheus` as arguments are a part
# of that. Nothing is done where they are there. All but the last are installed with
# apt-get, as root or by sudo without a password; Debian's Prometheus is only unpacked into .cache/prometheus, so that no
# service of it starts. Without Java or Maven this fails and says what to install; without the others their tests are
# skipped, and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=" ${*:-kafka chromium postgresql prometheus} "

wants() {
    [[ "$wanted" == *" $1 "* ]]
}

java_major() {
    command -v java >/dev/null 2>&1 || { echo 0; return; }
    java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

missing() {
    local major
    major=$(java_major)
    [ "${major:-0}" -ge 17 ] || echo "openjdk-17-jre-headless"
    command -v mvn >/dev/null 2>&1 || echo "maven"
}

has_chromium() {
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1
}

has_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null 2>&1
}

has_prometheus() {
    { command -v promtool && command -v prometheus; } >/dev/null 2>&1 || [ -x .cache/prometheus/usr/bin/promtool ]
}

unpack_prometheus() {
    local folder
    folder=$(mktemp -d)
    # Downloading needs no root; a list of packages that is too old or not there does.
    if (cd "$folder" && { apt-get download -qq prometheus || { update && apt-get download -qq prometheus; }; }) >&2; then
        mkdir -p .cache
        dpkg-deb -x "$folder"/prometheus_*.deb "$folder/unpacked" && mv -T "$folder/unpacked" .cache/prometheus || true
    fi
    rm -rf "$folder"
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi

update() {
    "${as_root[@]}" apt-get update -qq
}

if wants prometheus && ! has_prometheus && command -v apt-get >/dev/null 2>&1; then
    echo "Unpacking Debian's Prometheus into .cache/prometheus" >&2
    unpack_prometheus 2>&1 | { grep -v "unsandboxed" || true; } >&2
fi
! wants prometheus || has_prometheus || echo "No Prometheus here (prometheus, promtool): the tests that need it are skipped." >&2

if wants chromium && ! has_chromium && command -v apt-get >/dev/null 2>&1 && [ "${as_root[*]:-}" != "false" ]; then
    echo "Installing Chromium for the tests of web pages" >&2
    { update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; } >&2 || true
fi
! wants chromium || has_chromium || echo "No Chromium here: the tests of web pages are skipped." >&2

if wants postgresql && ! has_postgres && command -v apt-get >/dev/null 2>&1 && [ "${as_root[*]:-}" != "false" ]; then
    echo "Installing PostgreSQL for the tests of the risk store" >&2
    # Debian would start a server of its own; the tests start theirs.
    { update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends postgresql-common &&
        "${as_root[@]}" sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends postgresql; } >&2 || true
fi
! wants postgresql || has_postgres || echo "No PostgreSQL here: the tests of the risk store on it are skipped." >&2

wants kafka || exit 0
packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && [ "${as_root[*]:-}" != "false" ]; then
    echo "Installing for the tests' real Kafka: $packages" >&2
    # shellcheck disable=SC2086  # a list of package names
    update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $packages >&2 || true
fi

packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0
echo "The tests run a real Apache Kafka, which needs Java 17 or newer and Maven. Missing here: $packages" >&2
echo "Debian or Ubuntu: apt-get install $packages; elsewhere: a Java 17 runtime (java) and Apache Maven (mvn) on the PATH." >&2
echo "Or point the tests at a broker of yours: PROGUARD_TEST_KAFKA=host:port make test" >&2
exit 1
