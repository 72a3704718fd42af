# Every target is a script in scripts/ or tests/; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help wasm cli plugin dist schema sample catalogue catalogue-check bench bench-core test test-all test-clients test-in-browser fuzz mutants sql-mutants lint fix deny demo soak-kong tour clean clean-cache

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

wasm: ## build filters/databricks_kong.wasm
	@scripts/build-wasm

cli: ## build the command line tool and the revocation service into target/release (some minutes the first time)
	@echo "compiling databricks-kong and databricks-kong-revocations ..." >&2
	@scripts/with-rust cargo build --quiet --locked --release -p databricks-kong -p revocations --features databricks-kong/cli --bins
	@ls -l $${CARGO_TARGET_DIR:-target}/release/databricks-kong $${CARGO_TARGET_DIR:-target}/release/databricks-kong-revocations

plugin: ## lay out the native Kong plugin in target/plugin (ARGS=--portable: for older systems, x86-64 and aarch64)
	@scripts/build-plugin $(ARGS)

dist: ## build a release into dist/: filter, static programs and plugin for x86-64 and aarch64, SBOM, checksums (PARTS=filter for one part)
	@scripts/dist $(PARTS)

schema: ## write the schemas of the configuration, of audit records and of the library's interface from the types
	@DATABRICKS_KONG_WRITE_SCHEMA=1 scripts/with-rust cargo test --quiet --locked --features schema,native --test meta_schema --test audit_schema --test native_interface

sample: wasm ## write the sample of audit records that the documents' queries are tested on, from the built filter
	@DATABRICKS_KONG_WRITE_SAMPLE=1 scripts/with-rust cargo test --quiet --locked --workspace --all-features --test all sample

catalogue: ## write the table of Databricks operations from the pinned SDK, and list what the newest one has more
	@python3 -B tools/catalogue/generate --install
	@python3 -B tools/catalogue/generate --check-newer || true

catalogue-check: ## list what the newest SDKs for Python and Go have that the table lacks, and fail if there is anything
	@python3 -B tools/catalogue/generate --check-newer

bench: ## measure what a request costs Envoy, and the Kong of KONG_BIN, beside their own filters and plugins (some minutes)
	@bench/run $(ARGS)

bench-core: ## measure how long a decision takes with 10 and with 1,000 roles, a request with a long feed, and `check` of 20,000 roles (compiles some minutes)
	@scripts/with-rust cargo bench --quiet --locked --features cli --bench decide --bench feed --bench check

test: ## build, then run what a change most likely breaks (PARTS=envoy for one part, PARTS=--list to see them)
	@scripts/test $(PARTS)

test-all: ## build, then run all parts, as CI does (all of test-clients, test-in-browser and soak-kong are apart)
	@scripts/test all

test-clients: ## run all official clients, unmodified, through the gateway: test-all's and the slow ones (fetches and builds them once, a quarter of an hour)
	@tests/clients/run

test-in-browser: ## run signatures, a policy and whole requests in V8: in Node and in headless Chromium
	@scripts/test-in-browser

fuzz: ## fuzz each parser of what others send for 30 seconds
	@scripts/fuzz ci

mutants: ## change the code that decides and see which changes no test notices (hours; SHARD=0/8 for a part)
	@scripts/mutants

sql-mutants: ## hold the SQL scanner against Spark's own parser on a million mutants (an hour; MUTANTS=10000, SEED=1)
	@DATABRICKS_KONG_SQL_MUTANTS=$${MUTANTS:-1000000} DATABRICKS_KONG_SQL_SEED=$${SEED:-20261123} \
	  scripts/with-rust cargo test --quiet --locked --test sql mutants -- --nocapture

lint: ## check format, clippy, docs, dependencies, shell, Python, container files and workflows
	@scripts/lint

fix: ## format and repair what can be repaired
	@scripts/lint --fix

deny: ## check licences and sources of the dependencies only
	@scripts/lint deny

demo: ## walk through the main job in a real Envoy
	@tests/demo/run

soak-kong: ## soak the Kong of KONG_BIN for ten minutes (SOAK_SECONDS=3600 for an hour)
	@tests/kong/soak

tour: ## walk through the stack of docker-compose.yml, which has to be up
	@compose/tour

clean: ## remove what was built
	rm -rf target .cache filters/*.wasm

clean-cache: ## remove fetched tools and compilers, of all clones
	@scripts/clean-cache
