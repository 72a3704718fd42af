#!/usr/bin/env bash
# The compiler: a cargo that works, the flags that give the same bytes in every clone, other targets.
# Sourced; brings places.sh and shell.sh.

# shellcheck source=scripts/places.sh
. "$(dirname "${BASH_SOURCE[0]}")/places.sh"

# another one only for tests that run without a system (scripts/test-in-browser)
WASM_TARGET=${WASM_TARGET:-wasm32-wasip1}
export WASM_TARGET

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
