#!/bin/sh
# What the tests need of the system. Installs it by apt when it is missing and we may; says in one
# sentence what to do when we may not.
set -eu

has_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null 2>&1

has_library() {
  ldconfig -p 2>/dev/null | grep -q "$1"
}

missing=""
has_browser || missing="$missing chromium"
command -v espeak-ng >/dev/null 2>&1 || missing="$missing espeak-ng"
command -v flite >/dev/null 2>&1 || missing="$missing flite"
if [ "$(uname -s)" = Linux ]; then
  has_library libEGL.so.1 || missing="$missing libegl1"
  has_library libGL.so.1 || missing="$missing libgl1"
fi
[ -z "$missing" ] && exit 0

by_apt=""
command -v apt-get >/dev/null 2>&1 && by_apt=" (apt-get install$missing)"
if [ -n "$by_apt" ] && [ "$(id -u)" = 0 ]; then
  echo "Installing what the tests need:$missing"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if apt-get update >"$log" 2>&1 &&
    apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -5 "$log" >&2
  rm -f "$log"
fi
echo "Missing for the tests:$missing. Install it as root$by_apt, then run make test again." >&2
exit 1
