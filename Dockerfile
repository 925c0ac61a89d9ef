# Two stages: the toolchain builds, and what runs holds the program, its C library and nothing else: no shell, no root.
FROM rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY policies policies
COPY benches benches
COPY tests/policies tests/policies
# Panics and logs name places in sources: by crate, not by the folders of this stage.
ENV RUSTFLAGS="--remap-path-prefix=/usr/local/cargo/registry/src=crates --remap-path-prefix=/build=portcullis"
RUN cargo build --locked --release --bin portcullis

FROM gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f
COPY --from=build /build/target/release/portcullis /usr/local/bin/portcullis
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/portcullis"]
