# The build stage only runs the script that also makes the image for the tests. It builds for the machine it runs on:
# an image for several architectures is made of one build on each (.github/workflows/release.yml).
FROM rust:1.95.0-bookworm AS build
# The toolchain of this image, whatever else rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0
# The program carries the list of its crates, which scanners and the SBOM are made from.
RUN cargo install cargo-auditable --version 0.7.7 --locked
WORKDIR /src
COPY . .
RUN CARGO_BUILD="cargo auditable build" sh deploy/image-root.sh /image

FROM scratch
COPY --from=build /image /
WORKDIR /app
USER 65532:65532
EXPOSE 8080
# One heap for all threads: with more of them the program takes about a tenth more memory, and is no faster. Thresholds that
# stay as they are at the start: else they grow with what was freed once, and the memory of a large answer is never given back.
ENV GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072
ENTRYPOINT ["/usr/local/bin/job-chief"]
CMD ["run"]
