#!/bin/bash
# Makes the next starter: make.sh WORK [HOURS], 12 hours of training by default. It goes on from the published weights, or from
# where it was interrupted. FROM_NOTHING=1 begins with random weights; DATA names the recordings where they are not in ../shared/data.
set -euo pipefail
work=$(realpath -m "${1:?a folder to work in}")
hours=${2:-12}
cd "$(dirname "$0")"
data=$(realpath -m "${DATA:-../../../shared/data}")
[ -e "$work/venv" ] || bash setup.sh "$work"
python="$work/venv/bin/python"
# A training step frees and takes gigabytes: the C library would hand them back to the system each time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000
bank=$work/bank
# People and recordings first: with them and a few shares of the others training can begin.
[ -e "$bank/trained.real-sounds.json" ] || $python real.py "$bank" --data "$data" --only sounds
[ -e "$bank/trained.real-speech.json" ] || $python real.py "$bank" --data "$data" --only speech
[ -e "$bank/held-out.3.json" ] || $python bank.py "$bank" --part held-out --seed 77 --per 0.14 --shares 4
[ -e "$bank/trained.23.json" ] || $python bank.py "$bank" --part trained --seed 1
[ -e "$bank/natural.0.json" ] || $python neural.py "$bank" --kokoro "$work/kokoro" --part natural --minutes 9 --shares 1
[ -e "$bank/trained.accents.11.json" ] || $python accents.py "$bank"
[ -e "$bank/trained.festival.json" ] || $python others.py "$bank" --debian "$work/debian"
[ -e "$bank/trained.kokoro.51.json" ] || $python neural.py "$bank" --kokoro "$work/kokoro" --minutes 104 --shares 52
[ -e "$bank/trained.throats.json" ] || $python throats.py "$bank" --data "$data"
[ -e "$bank/trained.s2.23.json" ] || $python bank.py "$bank" --part trained --name trained.s2 --seed 2
share() { $python -c "print($hours * $1)"; }
train() { $python train.py "$work" --data "$data" --streams 10 --secs 14 --long 0.06 "$@"; }
if [ -n "${FROM_NOTHING:-}" ]; then
    # First the ears alone, on phonemes and sounds, many times faster than the whole.
    if [ ! -e "$work/last.pt" ]; then
        train --ears --hours "$(share 0.15)" --from ears.pt --to ears.pt
        cp "$work/ears.pt" "$work/last.pt"
    fi
    train --hours "$(share 0.6)"
else
    train --hours "$(share 0.7)" --rate 0.2 --export ../starter
fi
train --hours "$(share 0.25)" --rate 0.2 --cool 1 --rounded 0.4 --to cool.pt
bash judge.sh "$work" cool.pt
