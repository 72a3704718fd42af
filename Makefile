# Every target is one script; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help wasm schema test lint deny demo clean clean-cache

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

wasm: ## build filters/databricks_kong.wasm
	@scripts/build-wasm
