# The published image: the binary and nothing that could run beside it. For COPY --from in other
# Dockerfiles, and for an init container:
#
#   COPY --from=capshim:0.1.0 /capshim /capshim
#   docker run --rm --cap-drop ALL --cap-add SETFCAP -v shim:/shim capshim:0.1.0 --install /shim --file-caps ipc_lock
#
# Its context is the folder that scripts/release fills, so that what is published is what was
# tested; scripts/image builds it for both architectures. By hand:
#
#   docker buildx build --platform linux/amd64,linux/arm64 -f Dockerfile dist
#
# scripts/image also builds capshim-caps from this file: its context has the same binaries, with file
# capabilities. By hand: docs/image-volume.md.
FROM scratch
ARG TARGETARCH VERSION REVISION SOURCE CREATED
ARG TITLE="capshim"
ARG DESCRIPTION="Gives a non-root application exactly the Linux capabilities that its environment lists"
LABEL org.opencontainers.image.title="$TITLE" \
      org.opencontainers.image.description="$DESCRIPTION" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED"
COPY capshim-linux-$TARGETARCH /capshim
COPY LICENSES /LICENSES
ENTRYPOINT ["/capshim"]
