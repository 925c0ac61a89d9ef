// Command control-plane runs a Kubernetes control plane on this machine: etcd, kube-apiserver and, unless told
// otherwise, kube-controller-manager, the real programs that ./build makes. There is no kubelet and no scheduler:
// what is created is admitted, stored and watched, and never runs. The tests and the demo use it.
//
//	control-plane [--with-controller-manager=false] [--audit-log] [--admission FILE] [--feature-gates GATES] [--address IP]
//	              [--dir DIR]
//
// Once all of it answers, one line of JSON on standard output says where everything is (see Place). Then commands are
// read from standard input, one a line, each answered with "ok" when the control plane is ready again (at once, for
// stop) or with "error: …":
//
//	stop NAME | start NAME | restart NAME        NAME as in kube-apiserver; port and data stay
//
// End of input, SIGINT, SIGTERM or SIGHUP ends all of it and removes the folder (unless --dir gave it). So whoever
// starts this keeps its standard input open, and need not do more: should the caller die, its end of the pipe closes;
// should this program be killed, the kernel ends the children.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Place is what the caller is told.
type Place struct {
	Kubeconfig string `json:"kubeconfig"` // an administrator's: CN=admin, O=system:masters
	Dir        string `json:"dir"`        // everything below, and each program's NAME.log
	Server     string `json:"server"`
	Kubectl    string `json:"kubectl"`
	Bin        string `json:"bin"`
	AuditLog   string `json:"auditLog"` // empty without --audit-log
	CACert     string `json:"caCert"`   // with CAKey: to make a certificate for any other user, a node's for example
	CAKey      string `json:"caKey"`    // PKCS #8
}

func main() {
	// Linux sends a child its Pdeathsig when the thread that made it ends, not the process. All children are made
	// by this goroutine; locked to the main thread, they live as long as the program does.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	withControllerManager := flag.Bool("with-controller-manager", true, "run kube-controller-manager too: service accounts, replica sets, garbage collection")
	auditLog := flag.Bool("audit-log", false, "write the API server's own audit log (level Metadata) to DIR/audit.log")
	admission := flag.String("admission", "", "start the API server with this `file` for --admission-control-config-file")
	gates := flag.String("feature-gates", "", "the API server's `gates`: NAME=true,…")
	address := flag.String("address", "127.0.0.1", "the API server's `IP`; another one of this machine's is for network namespaces, which cannot reach loopback")
	dir := flag.String("dir", "", "work in this `folder` and keep it (default: a temporary folder, removed at the end)")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}

	// SIGPIPE: the caller no longer reads, so it is gone. After the first signal the default is restored: a second
	// one ends this program at once.
	signalled, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	context.AfterFunc(signalled, restore)
	ctx, cancel := context.WithCancel(signalled)
	defer cancel()
	commands := make(chan string)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			commands <- lines.Text()
		}
		cancel()
	}()

	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "control-plane-"); err != nil {
			return err
		}
		defer os.RemoveAll(*dir)
	} else if *dir, err = filepath.Abs(*dir); err != nil {
		return err
	} else if _, err := os.Stat(filepath.Join(*dir, "etcd")); err == nil {
		return fmt.Errorf("%s was used before: its data belongs to other certificates", *dir)
	} else if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}

	plane, err := newPlane(*dir, *address, *admission, *gates, *withControllerManager, *auditLog)
	if err != nil {
		return err
	}
	defer plane.end()
	if err := plane.startAll(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it was ready
		}
		var ended *endedError
		if errors.As(err, &ended) {
			fmt.Fprint(os.Stderr, ended.process.logTail())
		}
		return err
	}
	place, err := json.Marshal(plane.place)
	if err != nil {
		return err
	}
	fmt.Println(string(place))

	for {
		select {
		case <-ctx.Done():
			return nil
		case command := <-commands:
			if err := plane.obey(ctx, strings.Fields(command)); err != nil {
				fmt.Println("error:", err)
			} else {
				fmt.Println("ok")
			}
		}
	}
}
