// Package cli is the command line: it runs the server, and is the way in when nobody can sign in any more.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/app"
	"sallyport/internal/config"
)

// commands are what `sallyport` can do.
type commands struct {
	Dev       devCommand        `cmd:"" help:"Run on this machine, with nothing to configure."`
	Serve     serveCommand      `cmd:"" help:"Run in production."`
	User      userCommands      `cmd:"" help:"Add, list and help people."`
	Workgroup workgroupCommands `cmd:"" help:"Workgroups, and what they and the instance ask of people."`
	Explain   explainCommand    `cmd:"" help:"Say what somebody’s sign-in would ask for, and why."`
	Routes    routesCommand     `cmd:"" help:"List every route with its guard."`
	Keys      keysCommands      `cmd:"" help:"Keep the key ring."`
	Messages  messageCommands   `cmd:"" help:"Look at mail and SMS, and try them."`
	Audit     auditCommands     `cmd:"" help:"Check the record of events."`
	Check     checkCommand      `cmd:"" help:"Check configuration and database."`
	Version   versionCommand    `cmd:"" help:"Say which version this is."`
}

// place is where the data of a command is.
type place struct {
	Data   string `help:"Folder of database and keys." placeholder:"DIR" xor:"place"`
	Config string `help:"Configuration file." placeholder:"FILE" type:"existingfile" xor:"place"`
}

func (p place) load() (config.Config, error) {
	c, err := config.Load(p.Config, os.Getenv)
	if p.Data != "" {
		c.Data = p.Data
	}
	return c, err
}

// env is what commands are run with.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// Main runs one command and returns the exit code: 0 done, 1 it failed, 2 it was not understood.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	code := -1
	parser, err := kong.New(&c, kong.Name("sallyport"), kong.Description("The sign-in and multi-factor server."),
		kong.Writers(stdout, stderr), kong.Exit(func(n int) { code = n }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the tags above are wrong
	}
	k, err := parser.Parse(args)
	switch {
	case code >= 0: // --help
		return code
	case err != nil:
		fmt.Fprintln(stderr, "sallyport:", err)
		return 2
	}
	if err := k.Run(&env{ctx, stdin, stdout, stderr}); errors.Is(err, errUnsafe) {
		return 1 // each reason has its line already
	} else if err != nil {
		fmt.Fprintln(stderr, "sallyport:", err)
		return 1
	}
	return 0
}

// open joins the parts for a command that does not serve. It must not make a database by being pointed at nothing.
func (e *env) open(p place) (*app.App, error) {
	c, err := p.load()
	if err != nil {
		return nil, err
	}
	return e.openWith(c)
}

func (e *env) openWith(c config.Config) (*app.App, error) {
	return app.New(e.ctx, c, time.Now, slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
}

var errUnsafe = errors.New("the configuration is unsafe")
