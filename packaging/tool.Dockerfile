# The command line tool, and the revocation service beside it. After `make dist`, with the repository as context:
#   docker build --file packaging/tool.Dockerfile --tag databricks-kong .
#   docker run --rm --volume "$PWD:/w:ro" databricks-kong check --strict /w/kong.yml
FROM debian:12-slim AS unpack
ARG TARGETARCH
RUN --mount=type=bind,source=dist,target=/dist \
    case "${TARGETARCH:-amd64}" in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; *) exit 1 ;; esac \
    && mkdir /out && tar -xzf /dist/databricks-kong-[0-9]*-linux-"$arch".tar.gz -C /out --strip-components 1

# certificates and an account for nobody, nothing else: the programs are static
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=unpack /out/databricks-kong /out/databricks-kong-revocations /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/databricks-kong"]
