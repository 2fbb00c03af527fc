# syntax=docker/dockerfile:1
# The broker and its client, as a user without rights, on glibc and nothing else.
#
#     docker build -t ranked-broker .
#     docker run -p 7700:7700 -v broker-data:/data ranked-broker --data /data
FROM rust:1.90-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder, so that a change to one file is built quickly.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin broker --bin broker-client \
    && mkdir -p /out/data \
    && cp target/release/broker target/release/broker-client /out/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/broker /out/broker-client /usr/bin/
# A volume that is mounted here for the first time gets this owner, too.
COPY --from=build --chown=65532:65532 /out/data /data
# Nobody can reach a container's own 127.0.0.1, so listen on all addresses; the
# published port (-p 127.0.0.1:7700:7700) decides who can connect.
ENV BROKER_HOST=0.0.0.0
EXPOSE 7700
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
    CMD ["/usr/bin/broker-client", "127.0.0.1", "7700", "--timeout", "4", "-c", "ping"]
ENTRYPOINT ["/usr/bin/broker"]
