#!/usr/bin/env bash
# The llama.cpp peer of the LLaDA benchmarks.
#
#   llamacpp_peer.sh build   [--source DIR]         build the driver
#   llamacpp_peer.sh convert --model DIR --type T --out FILE.gguf
#                            T: f32 f16 bf16 q8_0 q4_0 q4_k_m q4_k_s q5_k_m q6_k
#   llamacpp_peer.sh run     --gguf FILE.gguf --prompt-ids A,B,C
#                            [--steps N] [--gen-length N] [--block-length N]
#                            [--threads N] [--repeat N] [--warmup N] [--flash auto|on|off]
#   llamacpp_peer.sh --help
#
# run prints one JSON object.
#
# Environment
#   LLAMACPP_WORK   where things are built and kept (default: ./build/llamacpp_peer)
#   LLAMACPP_CMAKE  extra cmake arguments for build
#   PYTHON          Python with torch, safetensors and gguf (default: python3)
#   needed besides: cmake >= 3.21, a C++17 compiler, OpenMP
#
# Sources. `build` uses the llama.cpp tree inside the Rust package
# llama-cpp-sys-2 (in cargo's registry once any project has depended on it, or
# via `cargo fetch`, which this script does in a scratch project if needed).
#
# What is timed. `run` drives llama.cpp's library through llamacpp/driver.cpp
# with exact prompt ids and LLaDA's published greedy schedule (temperature 0,
# low-confidence remasking, semi-autoregressive blocks). Every step decodes the
# whole prompt + answer anew (llama.cpp has no cache for this architecture) and
# computes logits of every position (its encoder path does so whatever the
# batch asks for); the softmax is taken of the current block's masked positions
# only. n_batch and n_ubatch have to be at least the sequence length, as
# attention is bidirectional. With f32 weights and --flash off the token ids
# equal those of the published code; flash attention rounds the mask and the
# softmax input and may flip near-ties.
#
# Build options. On Zen 4 (AVX512-BF16/VNNI) the default, GGML_NATIVE with
# llamafile's matrix kernels, was the fastest of those tried: without llamafile
# f32, bf16 and q8_0 take 1.6 to 2.2 times as long; with OpenBLAS (2 threads)
# f32 takes 2.2 and bf16 4 times as long. Repacking of 4-bit weights (on by
# default) is worth 1.1 to 1.6 times.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${LLAMACPP_WORK:-$PWD/build/llamacpp_peer}
python=${PYTHON:-python3}
driver=$work/driver/llada_driver

usage() { sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e '$d' -e 's/^# \{0,1\}//'; }
die() { echo "llamacpp_peer.sh: $*" >&2; exit 2; }

[ $# -gt 0 ] || { usage; exit 2; }
cmd=$1; shift
declare -A opt=([threads]=$(nproc) [repeat]=1 [warmup]=1 [steps]=128 [gen_length]=128 [flash]=auto)
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --*) [ $# -ge 2 ] || die "$1 needs a value"; key=${1#--}; opt[${key//-/_}]=$2; shift 2 ;;
    *) die "unexpected argument $1" ;;
  esac
done
need() { mkdir -p "$work";  for k in "$@"; do [ -n "${opt[$k]:-}" ] || die "$cmd needs --${k//_/-}"; done; }

find_crate_source() {
  local d
  for d in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/llama-cpp-sys-2-*/llama.cpp; do
    [ -e "$d/include/llama.h" ] && echo "$d"
  done | sort -V | tail -1
}

fetch_crate() {
  local scratch=$work/fetch
  mkdir -p "$scratch/src" && : > "$scratch/src/lib.rs"
  printf '[package]\nname="fetch"\nversion="0.0.0"\nedition="2021"\n[dependencies]\nllama-cpp-sys-2="0.1"\n' > "$scratch/Cargo.toml"
  (cd "$scratch" && cargo fetch -q)
}

build() {
  mkdir -p "$work"
  local src=${opt[source]:-$(find_crate_source)}
  if [ -z "$src" ]; then fetch_crate; src=$(find_crate_source); fi
  [ -n "$src" ] || die "no llama.cpp sources found; pass --source DIR"
  cmake -S "$here/llamacpp" -B "$work/driver" -DLLAMA_CPP_DIR="$src" -DCMAKE_BUILD_TYPE=Release \
        ${LLAMACPP_CMAKE:-} > "$work.configure.log" 2>&1 || { tail -20 "$work.configure.log" >&2; die "configure failed"; }
  cmake --build "$work/driver" --target llada_driver -j "$(nproc)" > "$work.build.log" 2>&1 \
        || { tail -20 "$work.build.log" >&2; die "build failed"; }
  echo "$driver"
}

convert() {     # convert DIR OUT TYPE
  case $3 in
    f32|f16|bf16) "$python" "$here/llamacpp/hf_to_gguf.py" --model "$1" --type "$3" --out "$2" ;;
    *) # quantise from an exact copy: f32 for small models, bf16 where that is what is stored
       local base=f32
       grep -q '"torch_dtype": *"bfloat16"' "$1/config.json" && base=bf16
       local src=${2%.gguf}.from-$base.gguf
       "$python" "$here/llamacpp/hf_to_gguf.py" --model "$1" --type $base --out "$src"
       "$driver" quantize "$src" "$2" "$3" --threads "${opt[threads]}" || die "quantize failed"
       rm -f "$src" ;;
  esac
}

generate() {    # generate FILE
  "$driver" generate --model "$1" --prompt-ids "${opt[prompt_ids]}" --steps "${opt[steps]}" \
     --gen-length "${opt[gen_length]}" --block-length "${opt[block_length]:-${opt[gen_length]}}" \
     --threads "${opt[threads]}" --repeat "${opt[repeat]}" --warmup "${opt[warmup]}" --flash "${opt[flash]}"
}

case $cmd in
  -h|--help|help) usage ;;
  build) build ;;
  convert) need model type out; [ -x "$driver" ] || build > /dev/null; convert "${opt[model]}" "${opt[out]}" "${opt[type]}" ;;
  run) need gguf prompt_ids; [ -x "$driver" ] || build > /dev/null; generate "${opt[gguf]}" ;;
  *) usage >&2; exit 2 ;;
esac
