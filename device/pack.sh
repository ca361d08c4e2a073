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
golden=$here/../tests/golden
stage=$folder.stage

"$here/run.sh" limits | while read -r mode seconds; do
    [ "$seconds" -lt $MODE_LIMIT ] || { echo "device/run.sh: the steps of $mode may take $seconds s, limit $MODE_LIMIT" >&2; exit 1; }
done

# The binary of a target among cargo's messages.
executable() { sed -n "s/.*\"name\":\"$1\".*\"executable\":\"\([^\"]*\)\".*/\1/p" "$stage/messages" | tail -n 1; }

# Puts a binary into the stage. The static kernels of candle's quantised models, a third of it, are
# blanked: nothing here runs them.
carry() {
    strip -s -o "$stage/$2" "$1"
    bytes=$(objdump -h "$stage/$2" | awk '$2 == ".nv_fatbin" { print $3 }')
    [ -n "$bytes" ] || return 0
    head -c $((0x$bytes)) /dev/zero > "$stage/blank"
    objcopy --update-section .nv_fatbin="$stage/blank" "$stage/$2"
}

rm -rf "$folder" "$stage"
mkdir -p "$folder" "$stage/tests/golden/heads"
$CARGO test $TESTING --features cuda --test device --no-run --message-format=json > "$stage/messages"
carry "$(executable device)" device-tests
# After the tests, which leave a program of their own.
$CARGO build $RELEASE --features cuda --bin chunkflow --example device --bench cuda --message-format=json > "$stage/messages"
carry "$(executable chunkflow)" chunkflow
carry "$(executable device)" device
carry "$(executable cuda)" bench
"$stage/device" pack "$model" "$stage/minilm"
# What the tests of tests/it/cuda read; expected values are for the processor's tests.
cp -r "$golden/families" "$golden/minilm" "$golden/tiny" "$stage/tests/golden"
for head in rerank-bert rerank-modernbert sparse-bert sparse-plain; do
    cp -r "$golden/heads/$head" "$stage/tests/golden/heads"
done
find "$stage/tests" -name 'expected*' -delete
# Programs share much: one window over all of them.
tar -C "$stage" -cf - chunkflow device-tests bench device tests | xz --lzma2=preset=6,dict=256MiB > "$folder/programs.tar.xz"
tar -C "$stage" -cf - minilm | xz --lzma2=preset=6,lc=0,lp=0,pb=0 > "$folder/model.tar.xz"
cat "$folder"/*.tar.xz | sha256sum > "$folder/pack.sum"
cp "$here/run.sh" "$here/torch_models.py" "$folder"
rm -rf "$stage"
bytes=$(cat "$folder"/* | wc -c)
echo "$folder: $bytes bytes of $LIMIT"
[ "$bytes" -le $LIMIT ]
