#!/bin/bash
# Makes the starter from nothing, or goes on where it was interrupted: make.sh WORK [HOURS], 12 hours of training by default.
set -euo pipefail
work=$(realpath -m "${1:?a folder to work in}")
hours=${2:-12}
cd "$(dirname "$0")"
# A training step frees and takes gigabytes: the C library would hand them back to the system each time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000
[ -e "$work/bank/trained.23.json" ] || python bank.py "$work/bank" --part trained --seed 1
[ -e "$work/bank/trained.s2.23.json" ] || python bank.py "$work/bank" --part trained --name trained.s2 --seed 2
[ -e "$work/bank/held-out.3.json" ] || python bank.py "$work/bank" --part held-out --seed 77 --per 0.14 --shares 4
[ -e "$work/bank/trained.accents.11.json" ] || python accents.py "$work/bank"
[ -e "$work/bank/trained.throats.json" ] || python throats.py "$work/bank"
[ -e "$work/bank/trained.festival.json" ] || python others.py "$work/bank" --debian "$work/debian"
# Voices learnt from people, where what they need lies in WORK/kokoro (the head of neural.py says what).
if [ -d "$work/kokoro" ]; then
    [ -e "$work/bank/natural.0.json" ] || python neural.py "$work/bank" --kokoro "$work/kokoro" --part natural --minutes 9 --shares 1
    [ -e "$work/bank/trained.kokoro.25.json" ] || python neural.py "$work/bank" --kokoro "$work/kokoro" --minutes 104 --shares 26
fi
share() { python -c "print($hours * $1)"; }
# First the ears alone, on phonemes and sounds, many times faster than the whole; then the whole; then the rate falls to zero.
if [ ! -e "$work/last.pt" ]; then
    python train.py "$work" --ears --hours "$(share 0.15)" --streams 8 --secs 12 --from ears.pt --to ears.pt
    cp "$work/ears.pt" "$work/last.pt"
fi
python train.py "$work" --hours "$(share 0.6)" --streams 12 --secs 12 --long 0.05
python train.py "$work" --hours "$(share 0.25)" --cool 1 --rounded 0.4 --to cool.pt --streams 12 --secs 12 --long 0.08
(cd ../.. && cargo build --release)
python export.py "$work" --to "$work/export" --check "$work/check.safetensors"
python evaluate.py "$work" --model "$work/export" --hearken ../../target/release/hearken --json "$work/figures.json" | tee "$work/figures.txt"
python publish.py "$work"
