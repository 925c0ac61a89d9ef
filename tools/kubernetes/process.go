package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// endsWithin is how long a program has between SIGTERM and SIGKILL.
	endsWithin = 5 * time.Second
	// tailLines of a log are shown when its program did not start.
	tailLines = 20
)

// process is one program of the control plane. Its methods are for the main goroutine alone.
type process struct {
	name, path, dir string
	args            []string
	ready           func(context.Context) error // nil when it can be used

	command  *exec.Cmd
	stopping *atomic.Bool
	done     chan struct{} // closed when it has ended; nil while it was never started, or stopped
}

// endedError is a program that ended without being told to.
type endedError struct {
	process *process
	state   *os.ProcessState
}

func (e *endedError) Error() string {
	return fmt.Sprintf("%s ended: %s (%s)", e.process.name, e.state, e.process.logPath())
}

func (p *process) start() error {
	if p.done != nil && p.unexpected() == nil {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(p.path, p.args...)
	command.Dir, command.Stdout, command.Stderr = p.dir, log, log
	// Nothing of the caller's: a proxy set there would stand between the API server and a webhook.
	command.Env = []string{"HOME=" + p.dir}
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // a terminal's Ctrl-C reaches only this program, which ends the others in order
		Pdeathsig: syscall.SIGKILL, // and if this one is killed, they go with it
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s (made by tools/kubernetes/build): %w", p.name, err)
	}
	stopping, done := new(atomic.Bool), make(chan struct{})
	p.command, p.stopping, p.done = command, stopping, done
	go func() {
		_ = command.Wait() // what it says stands in ProcessState
		if !stopping.Load() {
			fmt.Fprintf(os.Stderr, "control-plane: %s ended unexpectedly: %s\n", p.name, command.ProcessState)
		}
		close(done)
	}()
	return nil
}

// stop ends the program, if it runs: politely, then not.
func (p *process) stop() {
	if p.done == nil {
		return
	}
	p.stopping.Store(true)
	// A process that has ended already is no error here.
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(endsWithin):
		_ = p.command.Process.Kill()
		<-p.done
	}
	p.done = nil
}

// unexpected says that the program has ended without being told to; nil while it runs or is stopped.
func (p *process) unexpected() error {
	if p.done == nil {
		return nil
	}
	select {
	case <-p.done:
		return &endedError{p, p.command.ProcessState}
	default:
		return nil
	}
}

func (p *process) logPath() string { return filepath.Join(p.dir, p.name+".log") }

func (p *process) logTail() string {
	text, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error() + "\n"
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "")
}
