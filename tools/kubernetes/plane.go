package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// readyWithin bounds a start; three to five seconds are usual, a loaded machine needs more.
	readyWithin = 90 * time.Second
	// soReusePort is SO_REUSEPORT, which package syscall lacks on linux/amd64.
	soReusePort = 15
)

// plane is the control plane: its programs in the order in which they start.
type plane struct {
	place     Place
	processes []*process
	client    *http.Client // the administrator's
}

func newPlane(dir, address, admission, gates string, withControllerManager, auditLog bool) (*plane, error) {
	ip := net.ParseIP(address).To4()
	if ip == nil {
		return nil, fmt.Errorf("--address %q: must be an IPv4 address", address)
	}
	bin := os.Getenv("KUBEBUILDER_ASSETS")
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		bin = filepath.Dir(self)
	}
	bin, err := filepath.Abs(bin) // programs are started in another folder
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	port, err := reservePort([4]byte(ip))
	if err != nil {
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	p := &plane{
		place: Place{
			Kubeconfig: in("kubeconfig"),
			Dir:        dir,
			Server:     fmt.Sprintf("https://%s:%d", ip, port),
			Kubectl:    filepath.Join(bin, "kubectl"),
			Bin:        bin,
			CACert:     in("ca.crt"),
			CAKey:      in("ca.key"),
		},
	}
	admin, err := p.writeCredentials(ip)
	if err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	p.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   admin,
		DisableKeepAlives: true, // a connection kept from before a restart is a dead one
	}}

	// Sockets in the working folder, which is dir: no port to collide on, nobody else to connect, and no limit on the
	// length of dir. What is advertised must be a URL with a port, but a single member's are dialled by nobody.
	p.add(bin, "etcd", func(context.Context) error { _, err := os.Stat(in("etcd.sock")); return err },
		"--data-dir=etcd",
		"--listen-client-urls=unix://etcd.sock", "--advertise-client-urls=http://localhost:2379",
		"--listen-peer-urls=unix://etcd-peer.sock",
		"--unsafe-no-fsync", // the data outlives no crash of the machine, and need not
		"--enable-grpc-gateway=false",
		"--log-level=warn")

	apiserver := []string{
		"--etcd-servers=unix://etcd.sock",
		"--bind-address=" + address, fmt.Sprintf("--secure-port=%d", port), "--permit-port-sharing",
		// Loopback may stand in no Endpoints: leave those of the Service `kubernetes` alone.
		"--advertise-address=" + address, "--endpoint-reconciler-type=none",
		"--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key", "--client-ca-file=ca.crt",
		"--authorization-mode=Node,RBAC",
		// Beside the default ones: the webhooks, ServiceAccount and so on.
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key",
		"--service-cluster-ip-range=10.0.0.0/24",
		// A webhook behind a Service is reached at its endpoints: nothing here routes cluster IPs.
		"--enable-aggregator-routing",
		// Else open watches hold up its end until it is killed.
		"--shutdown-send-retry-after", "--shutdown-watch-termination-grace-period=1s",
		"--allow-privileged",
	}
	if gates != "" {
		apiserver = append(apiserver, "--feature-gates="+gates)
	}
	if auditLog {
		p.place.AuditLog = in("audit.log")
		policy := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"
		if err := os.WriteFile(in("audit-policy.yaml"), []byte(policy), 0o600); err != nil {
			return nil, err
		}
		apiserver = append(apiserver, "--audit-policy-file=audit-policy.yaml", "--audit-log-path=audit.log")
	}
	if admission != "" {
		admission, err = filepath.Abs(admission)
		if err != nil {
			return nil, err
		}
		apiserver = append(apiserver, "--admission-control-config-file="+admission)
	}
	p.add(bin, "kube-apiserver", p.answers("/readyz"), apiserver...)

	if withControllerManager {
		// No Pod is admitted into a namespace before that account is there.
		p.add(bin, "kube-controller-manager", p.answers("/api/v1/namespaces/default/serviceaccounts/default"),
			"--kubeconfig=kube-controller-manager.kubeconfig",
			"--use-service-account-credentials", // each controller under its own name, as in a real cluster
			"--service-account-private-key-file=sa.key", "--root-ca-file=ca.crt",
			"--kube-api-qps=1000", "--kube-api-burst=1000", // the default makes it take four seconds more to start
			"--controllers=*,-node-lifecycle-controller", // no kubelet says that a node is alive
			"--leader-elect=false", "--secure-port=0")
	}
	return p, nil
}

func (p *plane) add(bin, name string, ready func(context.Context) error, args ...string) {
	p.processes = append(p.processes, &process{name: name, path: filepath.Join(bin, name), dir: p.place.Dir, args: args, ready: ready})
}

func (p *plane) startAll(ctx context.Context) error {
	for _, process := range p.processes {
		if err := process.start(); err != nil {
			return err
		}
		// One after the other: the controller manager polls for an API server once a second, and only ten times.
		if err := p.await(ctx, process); err != nil {
			return err
		}
	}
	return nil
}

// end stops everything, the last one started first.
func (p *plane) end() {
	for i := len(p.processes) - 1; i >= 0; i-- {
		p.processes[i].stop()
	}
}

// obey carries out one command from standard input.
func (p *plane) obey(ctx context.Context, command []string) error {
	if len(command) != 2 {
		return fmt.Errorf("want stop, start or restart, and a name")
	}
	for _, process := range p.processes {
		if process.name != command[1] {
			continue
		}
		switch command[0] {
		case "stop":
			process.stop()
			return nil
		case "restart":
			process.stop()
			fallthrough
		case "start":
			if err := process.start(); err != nil {
				return err
			}
			return p.await(ctx, p.processes...)
		}
		return fmt.Errorf("unknown command %q", command[0])
	}
	return fmt.Errorf("nothing here is named %q", command[1])
}

// await returns when those programs are ready, or as soon as one that should run does not.
func (p *plane) await(ctx context.Context, processes ...*process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready within %s", readyWithin))
	defer cancel()
	for _, awaited := range processes {
		for {
			err := awaited.ready(ctx)
			if err == nil {
				break
			}
			for _, process := range p.processes {
				if ended := process.unexpected(); ended != nil {
					return ended
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			case <-time.After(25 * time.Millisecond):
			}
		}
	}
	return nil
}

// answers is the question whether the API answers 200 at a path.
func (p *plane) answers(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.place.Server+path, nil)
		if err != nil {
			return err
		}
		response, err := p.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
			return fmt.Errorf("%s: %s: %q", path, response.Status, body)
		}
		return nil
	}
}

// writeCredentials makes the certificates, keys and kubeconfigs that the programs are given, and returns what this
// program itself connects with.
func (p *plane) writeCredentials(address net.IP) (*tls.Config, error) {
	authority, err := newAuthority(p.place.Dir)
	if err != nil {
		return nil, err
	}
	if err := authority.writeServing("apiserver", address, net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)); err != nil { // the last is the first of --service-cluster-ip-range
		return nil, err
	}
	if err := writeKeyPair(p.place.Dir, "sa"); err != nil {
		return nil, err
	}
	if _, err := authority.writeKubeconfig("kube-controller-manager.kubeconfig", p.place.Server, "system:kube-controller-manager"); err != nil {
		return nil, err
	}
	return authority.writeKubeconfig("kubeconfig", p.place.Server, "admin", "system:masters")
}

// reservePort binds a port and keeps it bound for as long as this program runs, without listening. The API server,
// which is told to share (--permit-port-sharing), can take it; nobody else can, not even while it restarts.
func reservePort(address [4]byte) (int, error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: address}); err != nil {
		return 0, err
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return bound.(*syscall.SockaddrInet4).Port, nil
}
