# Kong 3.9 with the filter and the native plugin in it; a configuration uses one of them. After `make dist`, with the repository as context:
#   docker build --file packaging/kong.Dockerfile --tag kong-databricks .
FROM kong:3.9.3
ARG TARGETARCH
COPY --chmod=644 dist/databricks_kong.wasm dist/databricks_kong.meta.json /etc/kong/filters/
USER root
# one of the two archives is unpacked, by the image's processor
RUN --mount=type=bind,source=dist,target=/dist \
    case "${TARGETARCH:-amd64}" in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; *) exit 1 ;; esac \
    && mkdir -p /usr/local/share/databricks-kong \
    && tar -xzf /dist/databricks-kong-plugin-*-linux-"$arch".tar.gz -C /usr/local/share/databricks-kong --strip-components 1
USER kong
ENV KONG_WASM=on \
    KONG_WASM_FILTERS_PATH=/etc/kong/filters \
    KONG_PLUGINS=bundled,databricks-kong,databricks-kong-late \
    KONG_LUA_PACKAGE_PATH=/usr/local/share/databricks-kong/?.lua;; \
    KONG_NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE=1m \
    KONG_NGINX_PROXY_LINGERING_CLOSE=off
