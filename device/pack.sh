#!/bin/sh
# Makes the folder that runs on a machine with a GPU: `pack.sh FOLDER MODEL`, called by `make device-pack`,
# which sets CUDA's variables and CARGO, RELEASE and TESTING, flags of the builds of program and tests.
set -eu

# Bytes of the folder.
LIMIT=$((50 << 20))
# Seconds of a mode.
MODE_LIMIT=360

folder=$1
model=$2
here=$(dirname "$0")
stage=$folder.stage

"$here/run.sh" limits | while read -r mode seconds; do
    [ "$seconds" -lt $MODE_LIMIT ] || { echo "device/run.sh: the steps of $mode may take $seconds s, limit $MODE_LIMIT" >&2; exit 1; }
done

# The binary of a target among cargo's messages.
executable() { sed -n "s/.*\"name\":\"$1\".*\"executable\":\"\([^\"]*\)\".*/\1/p" "$stage/messages" | tail -n 1; }

rm -rf "$folder" "$stage"
mkdir -p "$folder" "$stage/tests/golden"
$CARGO test $TESTING --features cuda --test device --no-run --message-format=json > "$stage/messages"
strip -s -o "$stage/device-tests" "$(executable device)"
# After the tests, which leave a program of their own.
$CARGO build $RELEASE --features cuda --bin chunkflow --example device --bench cuda --message-format=json > "$stage/messages"
strip -s -o "$stage/chunkflow" "$(executable chunkflow)"
strip -s -o "$stage/device" "$(executable device)"
strip -s -o "$stage/bench" "$(executable cuda)"
rm "$stage/messages"
"$stage/device" pack "$model" "$stage/minilm"
for part in families heads minilm tiny; do cp -r "$here/../tests/golden/$part" "$stage/tests/golden/"; done
# Programs share much: one window over all of them.
tar -C "$stage" -cf - chunkflow device-tests bench device tests | xz --lzma2=preset=9,dict=256MiB > "$folder/programs.tar.xz"
tar -C "$stage" -cf - minilm | xz -6 > "$folder/model.tar.xz"
cat "$folder"/*.tar.xz | sha256sum > "$folder/pack.sum"
cp "$here/run.sh" "$here/torch_models.py" "$folder"
rm -rf "$stage"
bytes=$(cat "$folder"/* | wc -c)
echo "$folder: $bytes bytes of $LIMIT"
[ "$bytes" -le $LIMIT ]
