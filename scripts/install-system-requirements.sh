#!/usr/bin/env bash
# Java 17 and Maven: `make test` runs a real Apache Kafka. Nothing is done where both are there.
# Installs them with apt-get as root or by sudo without a password; else says what to install and fails.
set -euo pipefail

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

packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if command -v apt-get >/dev/null 2>&1 && [ "${as_root[*]:-}" != "false" ]; then
    echo "Installing for the tests' real Kafka: $packages" >&2
    # shellcheck disable=SC2086  # a list of package names
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $packages >&2 || true
fi

packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0
echo "The tests run a real Apache Kafka, which needs Java 17 or newer and Maven. Missing here: $packages" >&2
echo "Debian or Ubuntu: apt-get install $packages; elsewhere: a Java 17 runtime (java) and Apache Maven (mvn) on the PATH." >&2
echo "Or point the tests at a broker of yours: PROGUARD_TEST_KAFKA=host:port make test" >&2
exit 1
