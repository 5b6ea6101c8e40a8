// Package harness runs the real binary for tests that know nothing of its inside: they have its command line, its pages
// and its JSON face, as everybody else.
//
// It promises that what it starts is gone when the test ends, that nothing of the surroundings (SALLYPORT_* variables)
// reaches it, and that an answer is handed on as it came: no redirect is followed, and no answer at all is status 0.
package harness

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/db/dbtest"
)

// Options are how a server is started. The zero value is `sallyport dev` with SQLite in a folder of its own.
type Options struct {
	Database string   // "" is a SQLite file in Data; else the path of one, or postgres://
	Data     string   // "" is a new folder
	Env      []string // "SALLYPORT_POLICY_MFA=required"; wins over what the harness sets
	Command  string   // "dev" or "serve"
	Config   string   // text of a configuration file
	URL      string   // "" is http://localhost and a free port
	Under    []string // a command that runs the server in its place: "env", "--block-signal=XFSZ"
}

// A Server is one running process, or the next one after Restart.
type Server struct {
	URL       string
	Listen    string // 127.0.0.1 and the port
	Data      string
	SetupLink string // what dev prints while there is nobody, as a whole address

	t       testing.TB
	options Options
	output  output
	process *exec.Cmd
	gone    chan struct{}
}

// Start returns once the server is ready. The test fails if it does not get there.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TryStart is Start for goroutines, which must not end the test, and for servers that may refuse.
func TryStart(t testing.TB, o Options) (*Server, error) { return start(t, o) }

func start(t testing.TB, o Options) (*Server, error) {
	o.Command = cmp.Or(o.Command, "dev")
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{URL: cmp.Or(o.URL, fmt.Sprintf("http://localhost:%d", port)), Listen: fmt.Sprintf("127.0.0.1:%d", port), Data: o.Data, t: t, options: o}
	if o.Config != "" {
		if err := os.WriteFile(s.configPath(), []byte(o.Config), 0o600); err != nil {
			return nil, err
		}
	}
	if o.Command == "serve" && !hasKeys(s) { // dev makes its own
		if out, code := s.Run("", "keys", "rotate"); code != 0 {
			return nil, errors.New(out)
		}
	}
	t.Cleanup(s.Kill)
	for err = s.Restart(); err != nil && strings.Contains(err.Error(), "address already in use"); err = s.Restart() {
		if port, err = freePort(); err != nil { // somebody else was faster
			return nil, err
		}
		s.URL, s.Listen = cmp.Or(o.URL, fmt.Sprintf("http://localhost:%d", port)), fmt.Sprintf("127.0.0.1:%d", port)
	}
	return s, err
}

// Restart starts the same again, at the same address with the same data.
func (s *Server) Restart() error {
	s.Stop()
	line := append(slices.Clone(s.options.Under), binary(s.t))
	line = append(line, s.placed([]string{s.options.Command, "--listen", s.Listen, "--url", s.URL})...)
	s.process = exec.Command(line[0], line[1:]...)
	s.process.Env = clean(s.env())
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	before := len(s.Log())
	if err := s.process.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.gone = gone
	go func() { s.process.Wait(); close(gone) }()
	ready := func() bool { // dev prints the setup link after it listens
		return s.Ready() && (s.options.Command != "dev" || strings.Contains(s.Log()[before:], "Ctrl-C"))
	}
	for late := time.Now().Add(30 * time.Second); !ready(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-gone:
			return fmt.Errorf("%s ended: %s", s.options.Command, s.Log()[before:])
		default:
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s is not ready: %s", s.options.Command, s.Log()[before:])
		}
	}
	s.SetupLink = setupLink.FindString(s.Log()[before:])
	return nil
}

var setupLink = regexp.MustCompile(`http\S+/setup\?token=\S+`)

// Ready asks /readyz once.
func (s *Server) Ready() bool {
	return NewClient(s.t, s.URL).Via(s.Listen).Send("GET", "/readyz", nil, nil).Status == 200
}

// Log is all that was printed so far, by every process.
func (s *Server) Log() string { return s.output.String() }

// PID is the process that runs now.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop asks the server to end, and waits.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill is kill -9: nothing is finished or written down.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(with syscall.Signal) {
	if s.process == nil || s.process.Process == nil {
		return
	}
	s.process.Process.Signal(with) // an error means that it ended by itself
	select {
	case <-s.gone:
	case <-time.After(15 * time.Second):
		s.t.Error("the server did not end within 15 seconds")
		s.process.Process.Kill()
	}
	s.process = nil
}

// Run is a command against the same data and database, as an administrator types it beside the running server.
func (s *Server) Run(stdin string, args ...string) (out string, code int) {
	return Command(s.t, s.env(), stdin, s.placed(args)...)
}

// placed names the configuration file, for commands that have a place; the folder stands in the environment.
func (s *Server) placed(args []string) []string {
	if s.options.Config == "" || args[0] == "version" {
		return args
	}
	return append(args, "--config", s.configPath())
}

func (s *Server) configPath() string { return filepath.Join(s.Data, "sallyport.toml") }

func (s *Server) env() []string {
	env := []string{"SALLYPORT_METRICS_LISTEN=off", "SALLYPORT_DATA=" + s.Data}
	if s.options.Config != "" { // which names another address
		env = append(env, "SALLYPORT_URL="+s.URL)
	}
	if s.options.Database != "" {
		env = append(env, "SALLYPORT_DATABASE="+s.options.Database)
	}
	return append(env, s.options.Env...)
}

// Command runs the binary with nothing but env of our variables. Out is standard output and error as they came.
func Command(t testing.TB, env []string, stdin string, args ...string) (out string, code int) {
	t.Helper()
	var both output
	c := exec.Command(binary(t), args...)
	c.Env = clean(env)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &both, &both
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return both.String(), c.ProcessState.ExitCode()
}

func clean(env []string) []string {
	var all []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SALLYPORT_") {
			all = append(all, v)
		}
	}
	return append(all, env...)
}

func hasKeys(s *Server) bool {
	for _, v := range s.env() {
		if path, ok := strings.CutPrefix(v, "SALLYPORT_KEYS="); ok {
			_, err := os.Stat(path)
			return err == nil
		}
	}
	_, err := os.Stat(filepath.Join(s.Data, "keys"))
	return err == nil
}

// EachDatabase runs a test on SQLite and on PostgreSQL, each with a database of its own.
func EachDatabase(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	dbtest.EachAddress(t, app.Schemas, test)
}

var (
	build  sync.Once
	built  string
	failed error
)

// binary is made once per test process.
func binary(t testing.TB) string {
	build.Do(func() {
		dir, err := os.MkdirTemp(os.Getenv("GOTMPDIR"), "sallyport-bin") // the common one may be closed to programs
		if err != nil {
			failed = err
			return
		}
		built = filepath.Join(dir, "sallyport")
		if out, err := exec.Command("go", "build", "-o", built, "sallyport/cmd/sallyport").CombinedOutput(); err != nil {
			failed = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return built
}

// Main is TestMain's work: run, then remove the binary.
func Main(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

// freePort stays below the ports that outgoing connections get, so that none takes it before the server, or between two.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// output is what a process prints, read while it prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
