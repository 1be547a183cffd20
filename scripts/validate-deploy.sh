#!/usr/bin/env bash
# Checks what is deployed, without a cluster and without a network. What cannot be checked here is said, never silent.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tool() {
    command -v "$1" 2>/dev/null || { [ -x ".cache/prometheus/usr/bin/$1" ] && echo ".cache/prometheus/usr/bin/$1"; } || true
}

echo "== docker-compose.yml against the Compose specification"
"$bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose.yml

echo "== Kubernetes: base and overlays against the API's schemas"
# Each file of the base as it is: this works without kubectl.
find deploy/kustomize/base deploy/kustomize/components/retraining deploy/kustomize/components/console \
    deploy/kustomize/components/retraining-ray deploy/kustomize/components/retraining-gpu/storage.yaml -name '*.yaml' ! -name kustomization.yaml ! -name rayjob.yaml -print0 |
    xargs -0 "$bin/kubernetes-validate" --strict --quiet
echo "ok: deploy/kustomize/base, components/console, retraining, retraining-gpu and retraining-ray (but for its RayJob), file by file"
if [ -n "$(tool kubectl)" ]; then
    for overlay in deploy/kustomize/overlays/*/; do
        kubectl kustomize "$overlay" >"$work/overlay.yaml"
        "$bin/kubernetes-validate" --strict --quiet --no-warn "$work/overlay.yaml"
        echo "ok: $overlay, $(grep -c '^kind:' "$work/overlay.yaml") objects"
    done
    # The loop on top of the base, as an overlay of yours would have it.
    cp -r deploy/kustomize "$work/kustomize"
    mkdir "$work/kustomize/overlays/loop"
    printf 'resources: [../../base]\ncomponents: [../../components/retraining]\n' >"$work/kustomize/overlays/loop/kustomization.yaml"
    kubectl kustomize "$work/kustomize/overlays/loop" >"$work/overlay.yaml"
    "$bin/kubernetes-validate" --strict --quiet --no-warn "$work/overlay.yaml"
    echo "ok: components/retraining on the base, $(grep -c '^kind:' "$work/overlay.yaml") objects"
    printf 'resources: [../../base]\ncomponents: [../../components/console]\n' >"$work/kustomize/overlays/loop/kustomization.yaml"
    kubectl kustomize "$work/kustomize/overlays/loop" >"$work/overlay.yaml"
    "$bin/kubernetes-validate" --strict --quiet --no-warn "$work/overlay.yaml"
    echo "ok: components/console on the base, $(grep -c '^kind:' "$work/overlay.yaml") objects"
    # For a chat model: on one GPU and on many.
    for components in '../../components/retraining, ../../components/retraining-gpu' ../../components/retraining-ray; do
        printf 'resources: [../../base]\ncomponents: [../../components/gpu, %s]\n' "$components" \
            >"$work/kustomize/overlays/loop/kustomization.yaml"
        kubectl kustomize "$work/kustomize/overlays/loop" >"$work/overlay.yaml"
        "$bin/kubernetes-validate" --strict --quiet --no-warn "$work/overlay.yaml"
        echo "ok: ${components//..\/..\//} on the base with a GPU, $(grep -c '^kind:' "$work/overlay.yaml") objects"
    done
    echo "NOT CHECKED against a schema: objects of KEDA, KubeRay, Strimzi and the Prometheus operator (tests/unit/deploy reads them)"
else
    echo "NOT CHECKED: the overlays as a whole, there is no kubectl here"
fi

echo "== Prometheus: rules and their tests"
promtool=$(tool promtool)
if [ -n "$promtool" ]; then
    "$promtool" check rules deploy/prometheus/rules.yml
    "$promtool" check config --syntax-only deploy/prometheus/compose.yml
    "$promtool" test rules deploy/prometheus/rules_test.yml
else
    echo "NOT CHECKED: there is no promtool here (scripts/install-system-requirements.sh)"
    [ "${CI:-}" != true ] || exit 1
fi
echo "NOT CHECKED: the images, which need a Docker engine to build"
