#!/bin/sh
# Makes the root of job-chief's image: the program, the libraries it is linked with, the certificate
# authorities, and nothing else. The Dockerfile runs it, and so do the tests, where no Docker is needed.
#
# usage: image-root.sh FOLDER [PROGRAM]   (run in the repository's root; FOLDER must not exist; without a PROGRAM it
# is built)
set -eu
out=$1
program=${2:-${CARGO_TARGET_DIR:-target}/release/job-chief}
if [ -z "${2:-}" ]; then
    # The Dockerfile names another builder, which writes the list of crates into the program.
    ${CARGO_BUILD:-cargo build} --release --locked --package job-chief --bin job-chief
fi
mkdir -p "$out/app/config" "$out/etc/ssl/certs" "$out/usr/local/bin" "$out/tmp"
cp "$program" "$out/usr/local/bin/job-chief"
# The loader and the libraries, at the paths where the program looks for them.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$out$(dirname "$library")"
    cp -L "$library" "$out$library"
done
if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
    cp -L /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
fi
cp config/default.toml "$out/app/config/default.toml"
cp -R config/modules "$out/app/config/modules"
echo 'job-chief:x:65532:65532::/app:/sbin/nologin' > "$out/etc/passwd"
echo 'job-chief:x:65532:' > "$out/etc/group"
echo 'hosts: files dns' > "$out/etc/nsswitch.conf"
