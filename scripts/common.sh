#!/usr/bin/env bash
# Sourced by every script here: where things are kept, how to speak, and how to find a working cargo.
# Written for bash 3.2 too, which is what macOS has.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export REPO

# Tools and toolchains that the scripts fetch are kept outside of the clone, so that a second clone finds them.
# Nothing in there is needed: whatever is missing is fetched again.
cache_dir() {
  local base=${DATABRICKS_KONG_CACHE:-}
  if [[ -z $base && -n ${XDG_CACHE_HOME:-} ]]; then base=$XDG_CACHE_HOME/databricks-kong; fi
  if [[ -z $base && -n ${HOME:-} ]]; then base=$HOME/.cache/databricks-kong; fi
  if [[ -z $base ]] || ! mkdir -p "$base" 2>/dev/null || [[ ! -w $base ]]; then
    base=$REPO/.cache
    mkdir -p "$base"
  fi
  printf '%s\n' "$base"
}

# All talk goes to stderr: some scripts answer on stdout.
say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# limit SECONDS COMMAND…: timeout(1) is not part of macOS, perl is.
limit() {
  if have timeout; then
    timeout "$@"
  elif have perl; then
    perl -e 'alarm shift; exec @ARGV or exit 127' "$@"
  else
    shift
    "$@"
  fi
}

# locked NAME COMMAND…: two scripts must not fill the same cache folder at the same time.
locked() {
  local lock
  lock=$(cache_dir)/$1.lock
  shift
  if have flock; then
    (
      flock 9
      "$@" 9>&-
    ) 9>"$lock"
  else
    "$@"
  fi
}

# With another HOME than rustup was installed under, rustup's cargo finds no toolchain. Its own place tells where
# the toolchains are: …/.cargo/bin/cargo and …/.rustup, or …/cargo/bin/cargo and …/rustup.
use_rust() {
  local shims home
  have cargo || die "cargo is missing: install Rust $(rust_version) or newer, best with rustup"
  if [[ -n ${RUSTUP_HOME:-} ]] || cargo --version >/dev/null 2>&1; then
    rust_is_new_enough
    return
  fi
  shims=$(cd "$(dirname "$(command -v cargo)")" && pwd -P)
  for home in "$shims/../../.rustup" "$shims/../../rustup"; do
    if [[ -d $home/toolchains ]] && RUSTUP_HOME=$home cargo --version >/dev/null 2>&1; then
      RUSTUP_HOME=$(cd "$home" && pwd -P)
      export RUSTUP_HOME
      rust_is_new_enough
      return
    fi
  done
  die "cargo is there but has no toolchain: run 'rustup default stable'"
}

rust_version() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPO/Cargo.toml" | head -n 1; }

rust_is_new_enough() {
  local wanted found
  wanted=$(rust_version)
  found=$(rustc --version 2>/dev/null) || die "cargo is there but rustc does not start: run 'rustup default stable'"
  found=${found#rustc }
  found=${found%%[ -]*}
  if [[ $(printf '%s\n%s\n' "$wanted" "$found" | sort -t. -k1,1n -k2,2n | head -n 1) != "$wanted" ]]; then
    die "Rust $found is too old: this needs $wanted or newer, run 'rustup update stable'"
  fi
}

# The only place of the version is Cargo.toml; everything else is made from it or held against it.
version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$REPO/Cargo.toml"; }

# Takes the paths of this machine out of what is compiled, so that two clones give the same bytes; for CARGO_ENCODED_RUSTFLAGS.
path_rustflags() {
  local cargo_home=${CARGO_HOME:-${HOME:-}/.cargo} flags registry
  flags="--remap-path-prefix=$REPO=."
  for registry in "$cargo_home"/registry/src/*/; do
    if [[ -d $registry ]]; then
      flags+=$'\x1f'"--remap-path-prefix=${registry%/}=crates"
    fi
  done
  printf '%s' "$flags"
}

# Flags of the module.
wasm_rustflags() { printf '%s' "-Ctarget-feature=+simd128"$'\x1f'"$(path_rustflags)"; }

# Those flags name the folder that the crates are unpacked in, so there has to be one.
fetch_crates() {
  local registry
  for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    [[ -d $registry ]] && return 0
  done
  say "fetching crates"
  (cd "$REPO" && cargo fetch --locked --quiet)
}

# ziglang links for any libc and processor; cargo-zigbuild makes cargo use it. Puts both on PATH.
use_zig() {
  local zig=(ziglang==0.15.1 cargo-zigbuild==0.20.1) directory
  directory=$(cache_dir)/zig-$(printf '%s ' "${zig[@]}" | cksum | tr -d ' ')
  if [[ ! -f $directory/ready ]]; then
    say "fetching ${zig[*]} with pip"
    rm -rf "$directory"
    python3 -m venv "$directory"
    "$directory/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "${zig[@]}" >&2
    touch "$directory/ready"
  fi
  PATH=$directory/bin:$PATH
}

need_target() { rustup target list --installed 2>/dev/null | grep -qx "$1" || rustup target add "$1" >&2; }

# another one only for tests that run without a system (scripts/test-as-wasm)
WASM_TARGET=${WASM_TARGET:-wasm32-wasip1}
export WASM_TARGET
