#!/bin/sh
# Verifies evidence as somebody does who has the folder and the key alone: by what its page says, in a fresh environment,
# the last command without a network where `unshare` may cut it off.
# `sh packaging/verify.sh EVIDENCE KEY.pub FILE.whl`
set -eu
evidence=$(realpath "$1")
key=$(realpath "$2")
wheel=$(realpath "$3")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$evidence" "$folder/evidence"
cp "$key" "$folder/evidence.pub"
cd "$folder/evidence"
offline=
if unshare -n true 2> /dev/null; then offline="unshare -n"; fi
# The section's commands, one a line; those of model_signing need the models.
sed -n '/id="verify"/,$ s/.*<pre><code>\(.*\)<\/code><\/pre>.*/\1/p' index.html | grep -v '^model_signing' |
  sed "s|plumbrule==[0-9.]*|$wheel|; s|^.*evidence verify|$offline &|" > "$folder/commands"
cat "$folder/commands"
sh -eu "$folder/commands"
