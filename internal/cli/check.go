package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

type checkCommand struct{ place }

// Run says everything that serve would refuse, and whether the database takes a write.
func (c checkCommand) Run(e *env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	unsafe := refuseUnsafe(e, conf)
	if unsafe != nil && !errors.Is(unsafe, errUnsafe) {
		return unsafe
	}
	a, err := e.openWith(conf)
	if err != nil {
		return errors.Join(err, unsafe)
	}
	defer a.Close()
	if err := a.Site.Ready(e.ctx); err != nil {
		return err
	}
	if unsafe == nil {
		fmt.Fprintln(e.stdout, "configuration and database are fine")
	}
	return unsafe
}

type routesCommand struct {
	place
	JSON bool `help:"As JSON."`
}

func (c routesCommand) Run(e *env) error {
	dir, err := os.MkdirTemp("", "sallyport-routes") // routes do not depend on data
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	conf := config.Default()
	conf.Data = dir
	if err := secret.CreateRing(conf.KeysPath(), time.Now()); err != nil {
		return err
	}
	a, err := e.openWith(conf)
	if err != nil {
		return err
	}
	defer a.Close()
	routes := a.Site.Routes()
	if c.JSON {
		out := json.NewEncoder(e.stdout)
		out.SetIndent("", "  ")
		return out.Encode(routes)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "METHOD\tAPI\tPAGE\tGUARD\tTHROTTLE")
	for _, r := range routes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Method, r.API, r.Page, r.Guard, r.Throttle)
	}
	return w.Flush()
}

type keysCommands struct {
	Rotate keysRotate `cmd:"" help:"Add a key that seals from now on; makes the ring if there is none."`
}

type keysRotate struct{ place }

func (c keysRotate) Run(e *env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	path := conf.KeysPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	err = secret.CreateRing(path, time.Now())
	if err == nil {
		fmt.Fprintln(e.stdout, "made", path)
		return nil
	}
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := secret.Rotate(path, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "added a key to", path)
	return nil
}

type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Find any edit of the record."`
}

type auditVerify struct {
	place
	Anchor string `help:"A seal noted earlier, as this command and the log print it: finds a removed end." placeholder:"SEQ:HASH"`
}

func (c auditVerify) Run(e *env) error {
	a, err := e.open(c.place)
	if err != nil {
		return err
	}
	defer a.Close()
	report, err := a.Trail.Verify(e.ctx, c.Anchor, func(f audit.Finding) { fmt.Fprintln(e.stdout, f) })
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d events under %d seals, %d not sealed yet", report.Rows, report.Seals, report.Unsealed)
	if report.Head != "" {
		fmt.Fprintf(e.stdout, "; head %s", report.Head)
	}
	fmt.Fprintln(e.stdout)
	if report.Findings > 0 {
		return fmt.Errorf("the record was changed: %d findings", report.Findings)
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(e *env) error {
	version, revision := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	fmt.Fprintln(e.stdout, "sallyport", version, revision)
	return nil
}
