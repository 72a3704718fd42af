#!/usr/bin/env bash
# Words that the scripts have and bash has not: to speak, to say what one is for, to stop, to look for a program, to end one in time.
# Sourced. Written for bash 3.2 too, which is what macOS has.

# All talk goes to stderr: some scripts answer on stdout.
say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
# The comment that the script begins with.
print_help() { sed -n '2,/^set /{/^# \{0,1\}/s///p;}' "$0"; }
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
