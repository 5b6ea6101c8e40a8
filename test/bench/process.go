package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A node is the product, running.
type node struct {
	address string // host:port, and the Host of its site
	cmd     *exec.Cmd
	pid     int
	ready   time.Duration // from exec to the first 200 of /readyz
}

// start runs `sallyport serve` on the data of a world, with its log in a file, and waits until it is ready.
func (b *bench) start(w *world) (*node, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	address := strings.Replace(listen, "127.0.0.1", "localhost", 1)
	logs, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	cmd := exec.Command(b.binary, "serve")
	cmd.Stdout, cmd.Stderr = logs, logs
	for _, set := range os.Environ() {
		if !strings.HasPrefix(set, "SALLYPORT_") {
			cmd.Env = append(cmd.Env, set)
		}
	}
	cmd.Env = append(cmd.Env, "SALLYPORT_URL=http://"+address, "SALLYPORT_LISTEN="+listen, "SALLYPORT_DATABASE="+w.database,
		"SALLYPORT_KEYS="+w.keys, "SALLYPORT_METRICS_LISTEN=off", "SALLYPORT_LOG_LEVEL=info")
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &node{address: address, cmd: cmd, pid: cmd.Process.Pid}
	if err := n.await(began.Add(patience)); err != nil {
		n.stop()
		text, _ := os.ReadFile(logs.Name())
		return nil, fmt.Errorf("%w; its log:\n%s", err, text)
	}
	n.ready = time.Since(began)
	return n, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (n *node) await(until time.Time) error {
	probe := get(n.address, "/readyz", "")
	for {
		c, err := call(n.address, "")
		if err == nil {
			c.conn.SetDeadline(until)
			err = c.expect(200, probe)
			c.close()
			if err == nil {
				return nil
			}
		}
		if time.Now().After(until) {
			return fmt.Errorf("the server does not get ready: %w", err)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// stop ends it as an administrator would, so that the database is left tidy.
func (n *node) stop() {
	n.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { n.cmd.Process.Kill() })
	n.cmd.Wait()
	late.Stop()
}

// memory reads a field of /proc/PID/status: VmRSS now, or VmHWM, the most so far, in MB.
func (n *node) memory(field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "\n"+field+":")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kb, err := strconv.ParseFloat(text, 64)
	return kb * 1024 / 1e6, err
}

// cpu is the time that a process has used of all cores so far. It hardly depends on who else uses the machine.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// proc_pid_stat(5): utime and stime are fields 14 and 15, in ticks of 10 ms; the name before may hold spaces.
	field := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.Atoi(field[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(field[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// withCPU adds what one piece cost the process, in microseconds of a core, to a run whose first number is a rate.
func withCPU(pid int, run func() ([]float64, error)) func() ([]float64, error) {
	return func() ([]float64, error) {
		before, err := cpu(pid)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		found, err := run()
		if err != nil {
			return nil, err
		}
		pieces := found[0] * time.Since(start).Seconds()
		after, err := cpu(pid)
		return append(found, float64((after-before).Microseconds())/pieces), err
	}
}

// A limit is this program in the place of the product: see limit.go.
type limit struct {
	cmd    *exec.Cmd
	to     io.WriteCloser
	from   *bufio.Reader
	opened string // what it said first
}

func (b *bench) limit(kind string, args ...string) (*limit, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &limit{cmd: exec.CommandContext(b.ctx, self, append([]string{"-limit", kind}, args...)...)}
	l.cmd.Stderr = os.Stderr
	if l.to, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.from = bufio.NewReader(out)
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	if l.opened, err = l.line(); err != nil {
		l.stop()
	}
	return l, err
}

func (l *limit) line() (string, error) {
	text, err := l.from.ReadString('\n')
	return strings.TrimSpace(text), err
}

// run has it work for a while and returns how often it did in a second.
func (l *limit) run(callers int, d time.Duration) ([]float64, error) {
	fmt.Fprintln(l.to, callers, d.Milliseconds())
	text, err := l.line()
	if err != nil {
		return nil, err
	}
	perSecond, err := strconv.ParseFloat(text, 64)
	return []float64{perSecond}, err
}

// stop ends it: it works until its input does.
func (l *limit) stop() {
	l.to.Close()
	l.cmd.Wait()
}
