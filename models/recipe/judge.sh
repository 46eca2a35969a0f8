#!/bin/bash
# Exports checkpoints of WORK (several: the mean of their weights) and puts the result beside the published starter:
# judge.sh WORK [CHECKPOINT…], cool.pt by default. Then `publish.py WORK` publishes, unless the published one scores better.
set -euo pipefail
work=$(realpath -m "${1:?the folder of the training}")
shift
cd "$(dirname "$0")"
data=$(realpath -m "${DATA:-../../../shared/data}")
python="$work/venv/bin/python"
hearken=${HEARKEN:-../../target/release/hearken}
[ -e "$hearken" ] || (cd ../.. && cargo build --release)
$python export.py "$work" --data "$data" --from "${@:-cool.pt}" --to "$work/export" --check "$work/check.safetensors"
$python evaluate.py "$work" --data "$data" --model "$work/export" --hearken "$hearken" --json "$work/figures.json" | tee "$work/figures.txt"
