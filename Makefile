# One place to start from: `make help`. Each target is one command, or a file of scripts/ where there
# is more to do. As root, on Debian or Ubuntu; each installs what it needs.
.POSIX:
.PHONY: help demo build test ci unit containers peers every proof faults mutants system-calls fuzz runtimes \
	crun docs aarch64 glibc msrv coverage idle resident bench lint dependencies advisories package release \
	audit image image-test deb deb-test reproducible

# What targets take, as in `make proof CASES=1000`. They are set here because make would take those
# that are not from the environment.
ARCH =
ARGUMENTS =
CASES = 100000
DESTINATION =
FOLDER = dist
NAME =
ROUNDS =
RUNTIME =
SECONDS =
SEED =
SUITE =
TAG =

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z].*:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

demo: ## Shows a container without and with capshim (RUNTIME=docker, podman, runc or namespaces).
	scripts/demo $(RUNTIME)

build: ## Builds the static binary and prints its folder.
	scripts/build-static

test: ## Runs all tests, hostile input and the other runtimes for a short time among them.
	scripts/test

ci: ## Runs all that must hold before a change lands.
	.ci/run

unit: ## Tests the pure code (NAME=).
	cargo test --locked --lib $(NAME)

containers: ## Tests the real binary in real containers, under runc (NAME=part of a test's name).
	scripts/test --test containers $(NAME)

peers: ## Tests what other tools do in the same containers (NAME=part of a test's name).
	scripts/test --test peers $(NAME)

every: ## Walks every start on a model of the kernel.
	EVERY_START=1 cargo test --locked --profile every --test every -- --nocapture --test-threads 1

# What is walked on the model holds as far as the kernel follows it.
proof: ## Walks every start, and compares plan and model with the kernel (CASES=100000 random ones, SEED=).
	$(MAKE) every
	seed=$(SEED) && \
	PROOF_CASES=$(CASES) PROOF_SEED=$${seed:-$$(date +%s)} REQUIRE_ALL_TESTS=1 scripts/test --test proof

# One fault at a time: unit tests, documents and a slice of all starts are to notice it. .cargo/mutants.toml
# says in which files.
mutants: ## Plants faults in the pure code, and lists those that no test notices (ARGUMENTS=--re REGEX).
	"$$(scripts/tool cargo-mutants)" mutants --output target $(ARGUMENTS)

faults: ## Strikes every call that matters with every fault and prints what came of each.
	scripts/test --test containers faults -- --nocapture

system-calls: ## Prints the system calls between the container's exec and the application's.
	scripts/test --test containers about_sixty -- --nocapture

fuzz: ## Feeds hostile input to everything that is parsed (SECONDS=5 for each target).
	scripts/fuzz $(SECONDS)

runtimes: ## Tests manifests under containerd, Dockerfiles and examples under Docker and Podman (NAME=, SUITE=trixie or forky).
	SUITE=$(SUITE) scripts/runtimes $(NAME)

# crun wants control groups of one version: where both are mounted, it gets those of the first.
# Skipped: what is about faults and not about the runtime, what runc does with standard input (a pipe
# in place of /dev/null), and terminals: crun 1.8.1 at times prints what a container writes there as
# an error of its own. crun gives standard input to the container's user, so that /dev/null is one of
# these mounts' own.
crun: ## Tests the real binary in real containers, under crun (NAME=).
	scripts/packages crun:crun unshare:util-linux
	OCI_RUNTIME=crun unshare --mount sh -c '\
		! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; \
		mount -t tmpfs null /mnt && mknod -m 0666 /mnt/null c 1 3 && \
		mount --bind /mnt/null /dev/null && umount --lazy /mnt && \
		exec scripts/test --test containers $(NAME) -- --skip faults:: \
			--skip inherited_descriptors_stay_and_none_is_added \
			--skip a_start_without_a_switch_shares_nothing \
			--skip terminal --skip there_is_colour --skip what_the_parents_life_rests_on'

docs: ## Writes the drawings and the table in docs/ that show what tests have seen.
	UPDATE_DOCS=1 scripts/test --test pictures
	UPDATE_DOCS=1 scripts/test --test peers picture
	for suite in bookworm trixie forky; do UPDATE_DOCS=1 SUITE=$$suite scripts/runtimes the_table_says || exit; done

aarch64: ## Builds for aarch64 and tests that in an emulator.
	scripts/aarch64

glibc: ## Tests the plain glibc target of a Debian toolchain (NAME=).
	scripts/glibc $(NAME)

msrv: ## Builds with the oldest Rust that Cargo.toml promises.
	scripts/msrv

coverage: ## Prints lines and branches that the tests reach, and those that they don't.
	scripts/coverage

idle: ## Counts how often the parent of init mode wakes up while nothing happens (SECONDS=60).
	seconds=$(SECONDS) && IDLE_SECONDS=$${seconds:-60} scripts/test --test containers an_idle_parent -- --nocapture

resident: ## Measures the memory of a waiting init, beside tini, dumb-init and catatonit.
	scripts/resident

bench: ## Measures what a start costs, beside others (ROUNDS=, ARGUMENTS=--plot or --beside FILE).
	scripts/bench $(ROUNDS) $(ARGUMENTS)

# Which other manuals are installed here is no fault of this one's: -Wwarning.
lint: ## Checks formats, warnings, scripts, the manual page and the workflows.
	scripts/packages shellcheck:shellcheck mandoc:mandoc protoc:protobuf-compiler
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path tests/runtimes/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --manifest-path fuzz/Cargo.toml -- -D warnings
	cargo clippy --locked --all-targets --manifest-path tests/runtimes/Cargo.toml --target-dir target/runtimes -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet
	shellcheck .ci/run $$(grep -slE '^#!/bin/sh' scripts/* examples/*)
	mandoc -Tlint -Wwarning docs/capshim.8
	"$$(scripts/tool zizmor)" --offline --no-progress --strict-collection --persona pedantic --min-severity low .github

DENY = "$$(scripts/tool cargo-deny)" --locked --config deny.toml

dependencies: ## Checks the crates against deny.toml: which ones, their licences and sources.
	$(DENY) --exclude-dev check bans licenses sources
	$(DENY) check licenses sources
	$(DENY) --manifest-path fuzz/Cargo.toml check licenses sources
	$(DENY) --manifest-path tests/runtimes/Cargo.toml check licenses sources

advisories: ## Asks the advisory database, over the network, what is known against the crates.
	$(DENY) check advisories
	$(DENY) --manifest-path fuzz/Cargo.toml check advisories
	$(DENY) --manifest-path tests/runtimes/Cargo.toml check advisories

package: ## Packs the crate up to the upload, and installs it as `cargo install` does.
	cargo publish --dry-run --locked --allow-dirty --quiet
	cargo install --path . --locked --root target/install --quiet

release: ## Fills dist/ with the files of a release (TAG=).
	scripts/release $(TAG)

audit: ## Checks the files of a release against each other and the checkout (FOLDER=dist).
	scripts/audit $(FOLDER)

image: ## Builds both images for both architectures out of dist/ (DESTINATION=, as in oci:FOLDER:TAG).
	scripts/image $(DESTINATION)

image-test: ## Shows which file capabilities the layers of both images carry, and that copies keep them.
	scripts/image-test

deb: ## Packs the binaries in dist/ as Debian packages.
	scripts/deb

deb-test: ## Installs the Debian package in a new system and removes it there.
	scripts/deb-test

reproducible: ## Builds the released binaries twice and compares them (ARCH=x86_64 or aarch64).
	scripts/reproducible $(ARCH)
