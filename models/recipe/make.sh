#!/bin/bash
# Makes the starter from nothing, or goes on where it was interrupted: make.sh WORK [HOURS], 12 hours of training by default.
set -euo pipefail
work=$(realpath -m "${1:?a folder to work in}")
hours=${2:-12}
cd "$(dirname "$0")"
# A training step frees and takes gigabytes: the C library would hand them back to the system each time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000
[ -e "$work/bank/trained.23.json" ] || python bank.py "$work/bank" --part trained --seed 1
[ -e "$work/bank/held-out.3.json" ] || python bank.py "$work/bank" --part held-out --seed 77 --per 0.14 --shares 4
python train.py "$work" --hours "$hours" --streams 12 --secs 11.2 --long 0.08
python train.py "$work" --hours "$(python -c "print($hours / 8)")" --cool 1 --to cool.pt --streams 12 --secs 11.2 --long 0.12
(cd ../.. && cargo build --release)
python export.py "$work" --to "$work/export" --check "$work/check.safetensors"
python evaluate.py "$work" --model "$work/export" --hearken ../../target/release/hearken --json "$work/figures.json" | tee "$work/figures.txt"
python publish.py "$work"
