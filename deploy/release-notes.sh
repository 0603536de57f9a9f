#!/bin/sh
# Prints what CHANGELOG.md says of a version; fails if that is nothing.
#
# usage: release-notes.sh VERSION
set -eu
notes=$(awk -v version="$1" '
    /^## \[/ { inside = index($0, "## [" version "]") == 1; next }
    inside { print }
' "$(dirname "$0")/../CHANGELOG.md")
if [ -z "$notes" ]; then
    echo "CHANGELOG.md has no section \"## [$1]\", or an empty one" >&2
    exit 1
fi
echo "$notes"
