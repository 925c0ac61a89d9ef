# Two commands: `make demo` shows it on a real API server, `make test` runs every test. Both build what they need.
.PHONY: demo test lint kubernetes pod-security kafka bench

demo: kubernetes
	cargo build --locked
	PORTCULLIS=target/debug/portcullis tools/demo/run

test: kubernetes pod-security kafka lint
	cargo test --locked --no-fail-fast --lib --test it

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# etcd, kube-apiserver, kube-controller-manager and kubectl from their Go modules, once a machine (about six minutes).
kubernetes:
	tools/kubernetes/build >/dev/null

# The webhook of Kubernetes' own evaluator of the Pod Security Standards, once a machine (about two minutes).
pod-security:
	tools/pod-security/build >/dev/null

# A Kafka broker from its jars, once a machine (half a minute); Java runs it.
kafka:
	tools/kafka/build >/dev/null

bench:
	cargo bench --locked
