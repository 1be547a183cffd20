#!/usr/bin/env bash
# usage: nightly.sh [PART...]   (tests verl faults soak learning; all of them without an argument)
# What is too long for every change, and a dated report of it: docs/reports/YEAR-MONTH-DAY.md. Parts that are asked for
# on the same day come one below the other. Fails where a part failed; the report is written nevertheless.
# learning needs PROGUARD_LEARNING_ROWS, a JSON Lines file of labelled rows (docs/retraining.md, "Does it learn?").
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
report="docs/reports/$(date +%F).md"
mkdir -p docs/reports
[ -s "$report" ] || printf '# Nightly report, %s\n\nWritten by `make nightly`.\n' "$(date +%F)" >"$report"
code=0

# run TITLE PATTERN COMMAND...: the command's lines that match, its exit code and its time go into the report.
run() {
    local title=$1 pattern=$2 log status=0 began=$SECONDS
    shift 2
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" || status=$?
    {
        printf '\n## %s\n\nCommit %s, exit code %d, %d s.\n\n```console\n$ %s\n' \
            "$title" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$status" $((SECONDS - began)) "${*/#$python/python}"
        grep -E "$pattern" "$log" || echo "(nothing that says how it went)"
        printf '```\n'
    } >>"$report"
    rm -f "$log"
    [ "$status" -eq 0 ] || code=1
}

# Three seeds with each sampling; those of a seed share rows and base. A run of before in the folder is not made again.
learning() {
    local out=.cache/grpo-learning/$(date +%F) seed sampling
    for seed in 0 1 2; do
        for sampling in balanced image-scarce adaptive; do
            .venv-engines/bin/python -m benchmarks.grpo_learning "$PROGUARD_LEARNING_ROWS" \
                --seed "$seed" --sampling "$sampling" --out "$out" >/dev/null || return 1
        done
    done
    .venv-engines/bin/python -m benchmarks.grpo_learning.report "$out" --plot "docs/reports/$(date +%F)-learning.svg"
}

# Texts alone, each seed by a whole round of `proguard retrain` on a Kafka and an S3 of its own.
learning_by_round() {
    local out=.cache/grpo-learning/$(date +%F)-rounds seed
    for seed in 0 1 2; do
        .venv-engines/bin/python -m benchmarks.grpo_learning "$PROGUARD_LEARNING_ROWS" \
            --seed "$seed" --modalities text --retrain --out "$out" >/dev/null || return 1
    done
    .venv-engines/bin/python -m benchmarks.grpo_learning.report "$out" --plot "docs/reports/$(date +%F)-rounds.svg"
}

for part in "${@:-tests verl faults soak learning}"; do
    for name in $part; do
        case $name in
        tests) run "Long tests" '^(tests/|FAILED|ERROR|=+ .* in )' $python -m pytest tests/unit tests/integration -m nightly ;;
        verl)
            # 6 GB that not every machine has; without them the tests say themselves that they are skipped, and why.
            verl=$([ -e .venv-verl/.installed ] && echo .venv-verl/bin/python || echo $python)
            HF_HUB_OFFLINE=1 run "verl itself" '^(tests/|FAILED|ERROR|SKIPPED|=+ .* in )' "$verl" -m pytest tests/verl
            ;;
        faults)
            run "200 faults" '^(faults=|seed=|[a-z_]+=[0-9]+ )' $python -m benchmarks.faults --faults 200 --seed 1 --brokers 3
            run "50 faults, KIP-848" '^(faults=|seed=|[a-z_]+=[0-9]+ )' \
                $python -m benchmarks.faults --faults 50 --seed 2 --brokers 3 --group-protocol consumer
            ;;
        learning)
            if [ -z "${PROGUARD_LEARNING_ROWS:-}" ]; then
                printf '\n## Does GRPO learn?\n\nNot run: PROGUARD_LEARNING_ROWS names no rows.\n' >>"$report"
            else
                run "Does GRPO learn? Three seeds, three samplings" '^\|' learning
                run "The same by rounds of proguard retrain" '^\|' learning_by_round
            fi
            ;;
        soak) run "An hour's soak" '^\|' $python -m benchmarks.stream memory --posts 0 --minutes 60 ;;
        *) echo "there is no part $name: tests, verl, faults, soak, learning" >&2; exit 2 ;;
        esac
    done
done
echo "report: $report"
exit "$code"
