#!/bin/bash
# Makes the spoken instructions that open a mode: 16 kHz mono 16-bit WAV, trimmed, peak at -3 dBFS.
# Needs espeak-ng and sox (`apt-get install espeak-ng sox`). The same versions give the same bytes: nothing here is random.
# The clips are checked in, so building Hearken never runs this. A user replaces a clip with <settings folder>/instructions/NAME.wav.
set -euo pipefail
cd "$(dirname "$0")"

say() { # NAME TEXT
    local raw
    raw=$(mktemp --suffix=.wav)
    # 150 words a minute and a small word gap: clear speech for a model that hears the instruction once.
    espeak-ng -v en-us -s 150 -g 2 -w "$raw" "$2"
    # Trim below -54 dB at both ends but keep 50 ms, so that no soft consonant is clipped; -D: no dither, -R: no random seed.
    sox -D -R "$raw" -b 16 -c 1 -e signed-integer "$1.wav" \
        silence 1 0.01 0.2% reverse silence 1 0.01 0.2% reverse \
        rate -v 16000 pad 0.05 0.05 norm -3
    rm -f "$raw"
}

# The wording follows the model's own training examples (`src/README.md` "Lanes").
say transcribe "Transcribe what you hear."
say translate_zh "Translate the conversation into Chinese."
say translate_en "Translate the conversation into English."
say sounds "Describe what you hear."
