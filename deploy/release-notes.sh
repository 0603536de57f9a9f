#!/bin/sh
# Prints what CHANGELOG.md says of a version, once Cargo.toml and the chart have that version, too.
#
# usage: release-notes.sh vX.Y.Z   (run in the repository's root)
set -eu
version=${1#v}

agree() { # FILE, what it says
    if [ "$2" != "$version" ]; then
        echo "$1 says ${2:-nothing}, the tag says $version" >&2
        exit 1
    fi
}
agree Cargo.toml "$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
agree 'Chart.yaml (version)' "$(sed -n 's/^version: *//p' deploy/helm/job-chief/Chart.yaml)"
agree 'Chart.yaml (appVersion)' "$(sed -n 's/^appVersion: *"\(.*\)"$/\1/p' deploy/helm/job-chief/Chart.yaml)"

notes=$(awk -v begin="## [$version]" '
    index($0, begin) == 1 { here = 1; next }
    /^## / || /^\[.*\]: / { here = 0 }
    here' CHANGELOG.md)
if [ -z "$(echo "$notes" | tr -d '[:space:]')" ]; then
    echo "CHANGELOG.md has no section [$version]" >&2
    exit 1
fi
echo "$notes"
