#!/usr/bin/env bash
# Where things are: the clone, and the cache of what the scripts fetch. Sourced; brings the words of shell.sh.

# shellcheck source=scripts/shell.sh
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

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
