# `make demo` shows it on a real API server, `make check` runs the fast tests, `make test` runs every test. Each builds what it needs.
.PHONY: demo check test test-oldest setup lint dependencies kubernetes network-policy pod-security kafka helm bench

# rust-toolchain.toml names a version. Where rustup knows the same version only as stable, and may be unable to fetch it again, that is
# used.
PINNED := $(shell sed -n 's/^channel = "\(.*\)"$$/\1/p' rust-toolchain.toml)
ifeq ($(shell rustup toolchain list 2>/dev/null | grep -c '^$(PINNED)'),0)
ifneq ($(findstring rustc $(PINNED) ,$(shell rustc +stable --version 2>/dev/null)),)
export RUSTUP_TOOLCHAIN = stable
endif
endif

# It builds what it needs, and says so first. CLUSTER=current uses the cluster of kubectl's current context.
demo:
	@tools/demo/run

# Integration tests that are not among the fast ones: for the part beside the program that they need, or for their time.
BESIDE = kubernetes:: deploy:: standards:: corpora:: properties:: trail_ isolation::oracle
SLOW = attacks:: attack_figures:: bad_reviews:: bad_wire:: callers:: cli::pointers:: the_pointer_of_every_finding \
	isolation::model redaction:: server_cpu:: server_drain:: server_load:: server_log:: server_reload::

# No root, no Java, no database, no Go, and no network once the dependencies are there.
check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --no-run --lib --test it
	cargo test --locked --lib
	cargo test --locked --test it -- $(foreach name,$(BESIDE) $(SLOW),--skip $(name))

test: setup
	$(MAKE) kubernetes network-policy pod-security kafka helm dependencies lint
	tools/tests/run cargo test --locked --no-fail-fast --lib --test it

# The tests of what an API server has a say in, against the oldest Kubernetes that is supported (built once per machine: ten minutes).
test-oldest:
	tools/kubernetes/test-oldest

# What the tests need beside this repository: installed where that is allowed, or named.
setup:
	tools/setup

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Licences, bans and sources of the dependencies (deny.toml).
dependencies:
	cargo fetch --locked --target x86_64-unknown-linux-gnu
	"$$(tools/cargo-deny/build)" --locked --offline check licenses bans sources

# Builds etcd, kube-apiserver, kube-controller-manager and kubectl from their Go modules, once per machine (about seven minutes).
kubernetes:
	tools/kubernetes/build >/dev/null

# Builds what cyclonus says of NetworkPolicies, once per machine (about a minute).
network-policy:
	tools/network-policy/build >/dev/null

# Builds a webhook of Kubernetes' own evaluator of the Pod Security Standards, once per machine (about two minutes).
pod-security:
	tools/pod-security/build >/dev/null

# Downloads the jars of a Kafka broker, once per machine (half a minute). It runs on Java.
kafka:
	tools/kafka/build >/dev/null

# Builds helm from its Go module, once per machine (about four minutes).
helm:
	tools/helm/build >/dev/null

bench:
	cargo bench --locked
