# The mock workspace of the tests. Build with the repository as context.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p mock-databricks

FROM debian:bookworm-slim
COPY --from=build /src/target/release/mock-databricks /usr/local/bin/
USER nobody
ENTRYPOINT ["mock-databricks", "--state", "/state.json", "--listen", "0.0.0.0:8000", "--admin", "127.0.0.1:8001"]
