#!/usr/bin/env bash
# Validates AsyncAPI documents with the reference parser (default: schemas/asyncapi.json). Needs node and npm; the
# parser is installed into .cache/asyncapi once, by the hashes of scripts/asyncapi/package-lock.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cache=$root/.cache/asyncapi

mkdir -p "$cache"
if ! cmp -s "$here/asyncapi/package-lock.json" "$cache/.installed"; then
  cp "$here/asyncapi/package.json" "$here/asyncapi/package-lock.json" "$cache/"
  npm ci --prefix "$cache" --ignore-scripts --no-audit --no-fund --silent
  cp "$here/asyncapi/package-lock.json" "$cache/.installed"
fi
cp "$here/asyncapi/validate.mjs" "$cache/"
if [ $# -eq 0 ]; then set -- "$root/schemas/asyncapi.json"; fi
exec node "$cache/validate.mjs" "$@"
